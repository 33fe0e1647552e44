// linear.h: activations of several tokens, and matrix products on them, spread over the CPU's cores.
#pragma once
#include "cpu/isa.h"

// (n, dim) f32; rows are padded with zeros to a multiple of kBlock.
class Rows {
  public:
    explicit Rows(int64_t dim) : dim_(dim), stride_(padded(dim)) {}
    // What the rows hold afterwards is undefined, but for the padding.
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
    std::vector<float> data_;
};

// Output features of a matrix product that one task computes: small enough to balance the cores, large enough that
// starting a task costs nothing beside it.
constexpr int64_t kRowsPerTask = 64;

// y rows [t0, t0 + n_tok) = x W[o0..o1)ᵀ + b, columns [o0, o1) of y. One task's work; b begins at b[first_bias].
// For MXFP4 weights x must be deinterleaved.
void linear_task(const Kernels& kernels, Rows& y, const Rows& x, int64_t t0, int64_t n_tok, const Matrix& w,
                 const Vector& b, int64_t first_bias, int64_t o0, int64_t o1);

// y (T, n_out) = x (T, n_in) Wᵀ + b.
void linear(const Kernels& kernels, Rows& y, const Rows& x, const Matrix& w, const Vector& b);
