// kv_page.h: how the positions of the KV cache are divided, for the scheduler, the CPU and kernels alike.
#pragma once

constexpr int kPagePositions = 32;
// Attention sums over keys in spans of this many absolute positions, and merges the spans' sums in order.
constexpr int kSpanPositions = 128;
