// kv_page.h: how the positions of the KV cache are divided, for the scheduler, the CPU and kernels alike.
#pragma once

constexpr int kPagePositions = 32;  // in a page
// Keys are summed up in spans of this many absolute positions, each from nothing, and the spans' sums merged in order.
constexpr int kSpanPositions = 128;
