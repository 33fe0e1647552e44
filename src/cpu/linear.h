// linear.h: activations of several tokens, and matrix products on them, spread over the CPU's cores.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cstddef>
#include <initializer_list>

#include "base/aligned.h"
#include "cpu/kernels.h"

// (n, dim) f32; rows are padded with zeros to a multiple of kBlock, and begin at a cache line.
class F32Rows {
  public:
    explicit F32Rows(int64_t dim) : dim_(dim), stride_(padded(dim)) {}
    // Afterwards only the padding is defined.
    void resize(int64_t n) {
        n_ = n;
        if (int64_t(data_.size()) < n * stride_) data_.resize(size_t(n * stride_));
    }
    int64_t n() const { return n_; }
    int64_t dim() const { return dim_; }
    int64_t stride() const { return stride_; }
    float* row(int64_t t) { return data_.data() + t * stride_; }
    const float* row(int64_t t) const { return data_.data() + t * stride_; }

  private:
    int64_t n_ = 0, dim_, stride_;
    AlignedVector<float> data_;
};

// (n, dim), rounded and packed for PackedKernels::dot. Rows come in groups, each multiplied by a matrix of its own: one
// group of all rows, or one for each expert. A span of up to kPackedRowsAtOnce of a group's rows is multiplied at once.
class PackedRows {
  public:
    struct Span {
        int group;
        int64_t begin, n;    // rows
        int64_t first_row;   // where they are stored
        size_t first_panel;  // the first of the panels that hold them
    };
    struct Panel {
        int64_t begin;  // rows
        int n, width;   // as PackedKernels::pack wants it
        int64_t first_row;
    };

    // begin: the groups' first rows, and the end of the last. block_bytes: PackedKernels'.
    void resize(int64_t dim, const std::vector<int64_t>& begin, int block_bytes);
    void resize(int64_t dim, const PackedRows& like, int block_bytes);
    int64_t n() const { return n_; }
    const std::vector<Span>& spans() const { return spans_; }
    const std::vector<Panel>& panels() const { return panels_; }
    std::byte* data(const Panel& panel) { return data_.data() + panel.first_row * stride_; }
    const std::byte* data(const Span& span) const { return data_.data() + span.first_row * stride_; }

  private:
    void reserve();

    int64_t n_ = 0, n_stored_ = 0, stride_ = 0;  // rows; bytes
    std::vector<Span> spans_;
    std::vector<Panel> panels_;
    AlignedVector<std::byte> data_;
};

// Packs all rows of x as one group.
void pack(const PackedKernels& kernels, PackedRows& out, const F32Rows& x, DType weights);

// Output features of a task: few enough to balance the cores, enough that starting a task costs little.
constexpr int64_t kRowsPerTask = 64;

// Kernels::dot, but w may be transposed.
void multiply(const Kernels& kernels, float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok,
              const Matrix& w, int64_t o0, int64_t o1);

// y rows [t0, t0 + n_tok) = x W[o0..o1)ᵀ + b, columns [o0, o1) of y. One task's work; b begins at b[first_bias].
// x is arranged for w's type (Kernels::arrange).
void linear_task(const Kernels& kernels, F32Rows& y, const F32Rows& x, int64_t t0, int64_t n_tok, const Matrix& w,
                 const Vector& b, int64_t first_bias, int64_t o0, int64_t o1);

// y (T, n_out) = x (T, n_in) Wᵀ + b. Several products of one x run in one loop, so that threads wait for each other
// only once.
struct Product {
    F32Rows& y;
    const Matrix& w;
    const Vector& b;
};
using Products = std::initializer_list<Product>;
void linear(const Kernels& kernels, const F32Rows& x, Products products);

// Calls work(task) for each task in [0, n_tasks), on all threads. A free thread takes a run of up to 8 neighbours,
// because a task prefetches what the next one reads. Runs are short, so that all threads end at about the same time.
template <class F>
void for_each_in_runs(int64_t n_tasks, F&& work) {
    constexpr int64_t kLongestRun = 8, kFewestRuns = 4;  // a thread
    const int64_t n_threads = omp_get_max_threads();
    const int64_t runs_a_thread =
        std::max(kFewestRuns, (n_tasks + kLongestRun * n_threads - 1) / (kLongestRun * n_threads));
    const int64_t n_runs = std::min(n_tasks, runs_a_thread * n_threads);
#pragma omp parallel for schedule(dynamic)
    for (int64_t run = 0; run < n_runs; run++)
        for (int64_t task = n_tasks * run / n_runs; task < n_tasks * (run + 1) / n_runs; task++) work(task);
}

// The same for few tokens: memory is the limit then, so each thread gets one long stream of it.
template <class F>
void for_each_task(int64_t n_tasks, int64_t n_tok, F&& work) {
    if (n_tok > kPanelRows) return for_each_in_runs(n_tasks, work);
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < n_tasks; task++) work(task);
}

// linear_task() for a span of packed x; y begins at its first row's column o0.
void linear_task(const PackedKernels& kernels, float* y, int64_t y_stride, const PackedRows& x,
                 const PackedRows::Span& span, const Matrix& w, const Vector& b, int64_t first_bias, int64_t o0,
                 int64_t o1);
void linear(const PackedKernels& kernels, const PackedRows& x, Products products);
