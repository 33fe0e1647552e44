// attention.cpp: one task is one token and one KV head with all query heads that share it, so that a key is loaded once
// for all of them. Scores of all visible keys first, then softmax, then the values: sums run over absolute positions in
// ascending order, whatever chunk or batch the token came in.
#include "cpu/attention.h"

#include <algorithm>
#include <cmath>

namespace {

constexpr int kSpanPositions = 128;  // kSplitKeys of src/kernels/kernels.h

struct Scratch {
    AlignedVector<float> q;     // (R, padded P), R query heads a KV head
    std::vector<float> scores;  // (R, keys)
};

// Scores of n keys from position `first` on to weights exp(score - largest), each rounded as a GPU rounds what it gives
// its matrix cores: relative to the largest score so far, page by page within spans of kSpanPositions. Returns the sum
// of the unrounded weights.
double rounded_weights(float* score, int first, int64_t n, float largest) {
    double sum = 0;
    float so_far = 0;
    for (int64_t j = 0; j < n;) {
        const int pos = first + int(j);
        const int64_t end = std::min(n, j + kPagePositions - pos % kPagePositions);
        const float of_page = *std::max_element(score + j, score + end);
        so_far = j == 0 || pos % kSpanPositions == 0 ? of_page : std::max(so_far, of_page);
        const float factor = std::exp(so_far - largest);
        for (; j < end; j++) {
            sum += std::exp(score[j] - largest);
            score[j] = to_f32(to_bf16(std::exp(score[j] - so_far))) * factor;
        }
    }
    return sum;
}

}  // namespace

void attention(const Kernels& kernels, Rows& out, const Rows& q, const Batch& batch, const KvStore& store,
               const Config& config, int layer, const Vector& sinks, int64_t* bytes_read) {
    const bool sliding = config.layer_kind[size_t(layer)] == LayerKind::kSliding;
    const int64_t head_dim = config.head_dim, q_stride = padded(head_dim);
    const int n_groups = config.n_kv_heads, n_heads = config.n_attn_heads / n_groups;
    const float scale = 1.0f / std::sqrt(float(head_dim));
    const int64_t element_bytes = store.dtype() == DType::kF32 ? 4 : 2;
    const int64_t n_tasks = q.n() * n_groups;
    int64_t bytes = 0;
    out.resize(q.n());

#pragma omp parallel for schedule(dynamic) reduction(+ : bytes)
    for (int64_t task = 0; task < n_tasks; task++) {
        const int64_t t = task / n_groups;
        const int g = int(task % n_groups);
        const Batch::Token& token = batch.tokens[size_t(t)];
        const PageTable& pages = *batch.seqs[size_t(token.seq)].pages;
        const int first = sliding ? std::max(0, token.pos - config.sliding_window + 1) : 0;
        const int64_t n_keys = token.pos - first + 1;
        const int64_t head0 = int64_t(g) * n_heads;

        static thread_local Scratch s;
        s.q.assign(size_t(n_heads * q_stride), 0.0f);
        s.scores.resize(size_t(n_heads * n_keys));
        for (int h = 0; h < n_heads; h++)
            std::copy_n(q.row(t) + (head0 + h) * head_dim, head_dim, &s.q[size_t(h * q_stride)]);

        // Calls visit(page memory from the first visible key on, index of that key, keys) for each page.
        const auto each_page = [&](KvStore::Part part, auto&& visit) {
            for (int p0 = first; p0 <= token.pos;) {
                const int p1 = std::min(token.pos + 1, (p0 / kPagePositions + 1) * kPagePositions);
                const auto* page = static_cast<const char*>(store.page(layer, part, pages, p0, g));
                visit(page + p0 % kPagePositions * head_dim * element_bytes, int64_t(p0 - first), int64_t(p1 - p0));
                p0 = p1;
            }
        };
        each_page(KvStore::kKey, [&](const void* keys, int64_t j, int64_t n) {
            Matrix k;
            k.dtype = store.dtype();
            k.n_out = n;
            k.n_in = head_dim;
            k.data = keys;
            kernels.dot(&s.scores[size_t(j)], n_keys, s.q.data(), q_stride, n_heads, k, 0, n);
        });

        float* result = out.row(t) + head0 * head_dim;
        std::fill(result, result + n_heads * head_dim, 0.0f);
        static thread_local std::vector<float> sums;
        sums.resize(size_t(n_heads));
        for (int h = 0; h < n_heads; h++) {
            float* score = &s.scores[size_t(h * n_keys)];
            const float sink = sinks[head0 + h];
            float largest = sink;
            for (int64_t j = 0; j < n_keys; j++) {
                score[j] *= scale;
                largest = std::max(largest, score[j]);
            }
            double sum = std::exp(sink - largest);  // of up to 131072 terms
            if (store.dtype() == DType::kBF16) {
                sum += rounded_weights(score, first, n_keys, largest);
            } else {
                for (int64_t j = 0; j < n_keys; j++) sum += score[j] = std::exp(score[j] - largest);
            }
            sums[size_t(h)] = float(sum);
        }
        each_page(KvStore::kValue, [&](const void* values, int64_t j, int64_t n) {
            kernels.accumulate(result, head_dim, &s.scores[size_t(j)], n_keys, n_heads, store.dtype(), values, head_dim,
                               n, head_dim);
        });
        for (int h = 0; h < n_heads; h++)
            for (int64_t i = 0; i < head_dim; i++) result[h * head_dim + i] /= sums[size_t(h)];
        bytes += 2 * n_keys * head_dim * element_bytes;
    }
    *bytes_read += bytes;
}
