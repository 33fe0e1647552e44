// attention_tiles.cpp: cuts a batch's attention into tiles of up to 16 queries. A tile has the query heads of one KV
// head for as many consecutive tokens of one sequence as fit.
#include <algorithm>

#include "cpu/attention.h"

namespace {

struct Task {
    int64_t token;  // the first one of the tile
    int n_tokens;
    int head, n_heads;  // first query head, and how many
};

std::vector<Task> make_tasks(const Batch& batch, const CommonConfig& config) {
    const int group = config.n_attn_heads / config.n_kv_heads;
    const int heads_at_once = std::min(group, kPanelRows), tokens_at_once = kPanelRows / heads_at_once;
    const auto n = int64_t(batch.tokens.size());
    std::vector<Task> tasks;
    for (int64_t t = 0; t < n;) {
        int64_t end = t + 1;
        while (end < n && end - t < tokens_at_once && batch.tokens[size_t(end)].seq == batch.tokens[size_t(t)].seq)
            end++;
        for (int g = 0; g < config.n_kv_heads; g++)
            for (int h = 0; h < group; h += heads_at_once)
                tasks.push_back({t, int(end - t), g * group + h, std::min(heads_at_once, group - h)});
        t = end;
    }
    return tasks;
}

bool is_finite(const AttentionTile& tile) {
    float zero = 0;
    for (int i = 0; i < tile.n; i++) {
        const float* out = tile.out[i];
#pragma omp simd reduction(+ : zero)
        for (int d = 0; d < tile.head_dim; d++) zero += 0 * out[d];
    }
    return zero == 0;
}

// Computes each query alone, for pages with values that are not finite: a tile multiplies what a query does not see by
// 0, and 0 × inf is NaN. A query gets copies of the pages that hold only what it sees. Its bits are those of a tile.
void attend_one_by_one(const PackedKernels& kernels, const AttentionTile& tile) {
    const int64_t dim = padded(tile.head_dim);
    std::vector<std::vector<bf16>> copies(tile.values.size(), std::vector<bf16>(size_t(dim * kPagePositions)));
    for (int i = 0; i < tile.n; i++) {
        AttentionTile one = tile;
        one.n = 1;
        one.q[0] = tile.q[i];
        one.out[0] = tile.out[i];
        one.first[0] = tile.first[i];
        one.last[0] = tile.last[i];
        one.sink[0] = tile.sink[i];
        for (size_t page = 0; page < copies.size(); page++) {
            for (int key = 0; key < kPagePositions; key++) {
                const int pos = tile.first_pos + int(page) * kPagePositions + key;
                const bool seen = tile.first[i] <= pos && pos <= tile.last[i];
                for (int64_t at = key; at < dim * kPagePositions; at += kPagePositions)
                    copies[page][size_t(at)] = seen ? tile.values[page][at] : bf16{};
            }
            one.values[page] = copies[page].data();
        }
        kernels.attend(one);
    }
}

}  // namespace

void attention(const PackedKernels& kernels, F32Rows& out, const F32Rows& q, const Batch& batch, const KvStore& store,
               const CommonConfig& config, int layer, const Vector* sinks, int64_t* bytes_read) {
    const bool sliding = config.layer_kind[size_t(layer)] == LayerKind::kSliding;
    const int64_t head_dim = config.head_dim;
    const std::vector<Task> tasks = make_tasks(batch, config);
    const auto position = [&](const Task& task, int i) { return batch.tokens[size_t(task.token + i)].pos; };
    const auto first_seen = [&](int pos) { return sliding ? std::max(0, pos - config.sliding_window + 1) : 0; };
    const auto first_page = [&](const Task& task) {
        return first_seen(position(task, 0)) / kPagePositions * kPagePositions;
    };
    const auto page = [&](const Task& task, KvStore::Part part, int pos) {
        const PageTable& pages = *batch.seqs[size_t(batch.tokens[size_t(task.token)].seq)].pages;
        const int kv_head = task.head / (config.n_attn_heads / config.n_kv_heads);
        return static_cast<const bf16*>(store.page(layer, part, pages, pos, kv_head));
    };
    int64_t pages_read = 0;
    for (const Task& task : tasks)
        pages_read += (position(task, task.n_tokens - 1) - first_page(task)) / kPagePositions + 1;
    *bytes_read += pages_read * 2 * kPagePositions * head_dim * int64_t(sizeof(bf16));
    out.resize(q.n());

    for_each_in_runs(int64_t(tasks.size()), [&](int64_t index) {
        static thread_local AttentionTile tile;
        const Task& task = tasks[size_t(index)];
        tile.head_dim = config.head_dim;
        tile.n = 0;
        for (int i = 0; i < task.n_tokens; i++) {
            const int pos = position(task, i);
            for (int h = task.head; h < task.head + task.n_heads; h++, tile.n++) {
                tile.q[tile.n] = q.row(task.token + i) + h * head_dim;
                tile.out[tile.n] = out.row(task.token + i) + h * head_dim;
                tile.first[tile.n] = first_seen(pos);
                tile.last[tile.n] = pos;
                tile.sink[tile.n] = sinks ? (*sinks)[h] : kNoSink;
            }
        }
        tile.first_pos = first_page(task);
        tile.keys.clear();
        tile.values.clear();
        for (int pos = tile.first_pos; pos <= tile.last[tile.n - 1]; pos += kPagePositions) {
            tile.keys.push_back(page(task, KvStore::kKey, pos));
            tile.values.push_back(page(task, KvStore::kValue, pos));
        }
        const Task& next = tasks[std::min(size_t(index) + 1, tasks.size() - 1)];
        tile.next_keys = page(next, KvStore::kKey, first_page(next));
        tile.next_values = page(next, KvStore::kValue, first_page(next));
        kernels.attend(tile);
        if (!is_finite(tile)) attend_one_by_one(kernels, tile);
    });
}
