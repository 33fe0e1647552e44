// even_spans.cpp: the best cut of the first l layers into k spans, for all k and l.
#include "engine/even_spans.h"

#include <algorithm>
#include <limits>

std::vector<int> even_ends(const std::vector<int64_t>& cost, int n_spans) {
    const size_t n_layers = cost.size(), n = size_t(n_spans);
    std::vector<int64_t> before(1, 0);
    for (const int64_t c : cost) before.push_back(before.back() + c);
    // largest[k][l]: the largest span when the first l layers are cut best into k spans, and where the last one begins.
    constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
    std::vector<std::vector<int64_t>> largest(n + 1, std::vector<int64_t>(n_layers + 1, kNever));
    std::vector<std::vector<size_t>> begin(n + 1, std::vector<size_t>(n_layers + 1, 0));
    largest[0][0] = 0;
    for (size_t k = 1; k <= n; k++)
        for (size_t l = k; l <= n_layers; l++)
            for (size_t b = k - 1; b < l; b++) {
                if (largest[k - 1][b] == kNever) continue;
                const int64_t most = std::max(largest[k - 1][b], before[l] - before[b]);
                if (most >= largest[k][l]) continue;
                largest[k][l] = most;
                begin[k][l] = b;
            }
    std::vector<int> ends(n);
    size_t end = n_layers;
    for (size_t k = n; k > 0; k--) {
        ends[k - 1] = int(end);
        end = begin[k][end];
    }
    return ends;
}
