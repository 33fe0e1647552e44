// avx512_rows.h: what avx512vnni.cpp and avx512bf16.cpp share. Their registers hold 16 rows of weights, a lane each, so
// a sum belongs to one row and one token: no sum crosses lanes, and a token's bits depend on that token alone.
//
// A slab of rows is decoded into L1 a piece of its depth at a time, and then multiplied by all tokens, a group of up to
// kGroup at a time: 2 · kGroup sums are in registers. A token's number is loaded once for both registers of weights.
//
// For the anonymous namespace see scratch.h.
#pragma once
#include <type_traits>

#include "cpu/packed/avx512_weights.h"

// PackedKernels' functions for MXFP4 weights; avx512vnni.cpp.
void pack_whole_numbers(std::byte* panel, const float* const* x, int n, int width, int64_t first, int64_t n_columns);
void dot_whole_numbers(float* y, int64_t y_stride, const std::byte* x, int64_t n_tok, const Matrix& w,
                       const float* bias, int64_t o0, int64_t o1);

// PackedKernels::attend; avx512_attention.cpp.
void attend_avx512(const AttentionTile& tile);

namespace {

constexpr int kTiles = 2, kSlabRows = kTiles * kLanes;
constexpr int kGroup = 8;
// Room for a token's block: 32 floats; what is less leaves a gap at the panel's end.
constexpr int kPanelBlockBytes = kBlock * int(sizeof(float));
static_assert(kPanelRows == 2 * kGroup, "a panel is one or two groups");

// Calls work(N, first token) for groups of N <= kGroup of n_tok tokens, as even as can be within a panel of 16.
template <class F>
void for_each_group(int64_t n_tok, F&& work) {
    const auto group = [&](int64_t n, int64_t t) {
        switch (n) {
            case 1:
                return work(std::integral_constant<int, 1>(), t);
            case 2:
                return work(std::integral_constant<int, 2>(), t);
            case 3:
                return work(std::integral_constant<int, 3>(), t);
            case 4:
                return work(std::integral_constant<int, 4>(), t);
            case 5:
                return work(std::integral_constant<int, 5>(), t);
            case 6:
                return work(std::integral_constant<int, 6>(), t);
            case 7:
                return work(std::integral_constant<int, 7>(), t);
            default:
                return work(std::integral_constant<int, 8>(), t);
        }
    };
    for (int64_t t = 0; t < n_tok; t += kPanelRows) {
        const int64_t n = std::min<int64_t>(kPanelRows, n_tok - t), first = n > kGroup ? (n + 1) / 2 : n;
        group(first, t);
        if (n > first) group(n - first, t + first);
    }
}

// Fetches a piece that comes later into L2, a share with each step of multiplying: a row of codes is shorter than a
// page and ends before the hardware has learned where the next one lies.
class Fetcher {
  public:
    // n_bytes from `from` on, in each row of a slab. Nothing if `from` is null.
    Fetcher(const void* from, int64_t row_bytes, int64_t n_bytes, int64_t n_steps)
        : from_(static_cast<const char*>(from)),
          row_bytes_(row_bytes),
          n_bytes_(n_bytes),
          n_steps_(n_steps),
          left_(from ? kSlabRows * n_steps : 0) {}
    void step() {
        behind_ += std::min<int64_t>(left_, kSlabRows);
        left_ -= std::min<int64_t>(left_, kSlabRows);
        for (; behind_ >= n_steps_; behind_ -= n_steps_, from_ += row_bytes_)
            // A row's first line has come with the piece before it, unless it begins there.
            for (int64_t byte = 63; byte < n_bytes_ + 63; byte += 64) _mm_prefetch(from_ + byte, _MM_HINT_T1);
    }

  private:
    const char* from_;
    int64_t row_bytes_, n_bytes_, n_steps_, left_, behind_ = 0;
};

// y[t][r] = sums[t][r] + bias[r]. sums: (n_tok, kSlabRows).
inline void write_slab(float* y, int64_t y_stride, const float* sums, const float* bias, int64_t n_rows,
                       int64_t n_tok) {
    for (int64_t r = 0; r < std::min<int64_t>(n_rows, kSlabRows); r += kLanes) {
        const __mmask16 rows = first_lanes(n_rows - r);
        const __m512 b = _mm512_maskz_loadu_ps(rows, bias + r);
        for (int64_t t = 0; t < n_tok; t++)
            _mm512_mask_storeu_ps(y + t * y_stride + r, rows,
                                  _mm512_add_ps(_mm512_load_ps(sums + t * kSlabRows + r), b));
    }
}

}  // namespace
