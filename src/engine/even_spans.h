// even_spans.h: how a model's layers are shared out among the devices of a chain.
#pragma once
#include <cstdint>
#include <vector>

// Cuts layers 0, 1, ... into n_spans consecutive spans, none of them empty, such that the largest sum of costs is as
// small as it can be. cost (L): a layer's cost, with all that comes with it; L >= n_spans. Returns where each span
// ends; the last end is L.
std::vector<int> even_ends(const std::vector<int64_t>& cost, int n_spans);
