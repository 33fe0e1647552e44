// linear.cpp: cuts a matrix product into tasks. A task's result does not depend on the thread that runs it.
#include "cpu/linear.h"

#include <algorithm>

namespace {

// Tokens that share one pass over a task's weights. Their x (64 × 2880 floats = 0.7 MB) stays in L2.
constexpr int64_t kTokensAtOnce = 64;

}  // namespace

void multiply(const Kernels& kernels, float* y, int64_t y_stride, const float* x, int64_t x_stride, int64_t n_tok,
              const Matrix& w, int64_t o0, int64_t o1) {
    if (!w.transposed) return kernels.dot(y, y_stride, x, x_stride, n_tok, w, o0, o1);
    for (int64_t t = 0; t < n_tok; t++) std::fill(y + t * y_stride, y + t * y_stride + (o1 - o0), 0.0f);
    const auto* columns = static_cast<const char*>(w.data) + o0 * (w.dtype == DType::kF32 ? 4 : 2);
    kernels.accumulate(y, y_stride, x, x_stride, n_tok, w.dtype, columns, w.n_out, w.n_in, o1 - o0);
}

void linear_task(const Kernels& kernels, F32Rows& y, const F32Rows& x, int64_t t0, int64_t n_tok, const Matrix& w,
                 const Vector& b, int64_t first_bias, int64_t o0, int64_t o1) {
    for (int64_t t = t0; t < t0 + n_tok; t += kTokensAtOnce) {
        const int64_t n = std::min(kTokensAtOnce, t0 + n_tok - t);
        multiply(kernels, y.row(t) + o0, y.stride(), x.row(t), x.stride(), n, w, o0, o1);
        if (!b.data) continue;
        for (int64_t o = o0; o < o1; o++) {
            const float bias = b[first_bias + o];
            for (int64_t i = 0; i < n; i++) y.row(t + i)[o] += bias;
        }
    }
}

void PackedRows::resize(int64_t dim, const std::vector<int64_t>& begin, int block_bytes) {
    n_ = begin.back();
    n_stored_ = 0;
    stride_ = padded(dim) / kBlock * block_bytes;
    spans_.clear();
    panels_.clear();
    for (size_t g = 0; g + 1 < begin.size(); g++)
        for (int64_t t = begin[g]; t < begin[g + 1]; t += kPackedRowsAtOnce) {
            const int64_t n_span = std::min(kPackedRowsAtOnce, begin[g + 1] - t);
            spans_.push_back({int(g), t, n_span, n_stored_, panels_.size()});
            for (int64_t i = 0; i < n_span; i += kPanelRows) {
                const int n = int(std::min<int64_t>(kPanelRows, n_span - i)),
                          width = n_span <= kPanelRows ? n : kPanelRows;
                panels_.push_back({t + i, n, width, n_stored_});
                n_stored_ += width;
            }
        }
    reserve();
}

void PackedRows::resize(int64_t dim, const PackedRows& like, int block_bytes) {
    n_ = like.n_;
    n_stored_ = like.n_stored_;
    stride_ = padded(dim) / kBlock * block_bytes;
    spans_ = like.spans_;
    panels_ = like.panels_;
    reserve();
}

void PackedRows::reserve() {
    if (int64_t(data_.size()) < n_stored_ * stride_) data_.resize(size_t(n_stored_ * stride_));
}

void pack(const PackedKernels& kernels, PackedRows& out, const F32Rows& x, DType weights) {
    out.resize(x.dim(), {0, x.n()}, kernels.block_bytes);
#pragma omp parallel for
    for (const PackedRows::Panel& panel : out.panels()) {
        const float* rows[kPanelRows];
        for (int i = 0; i < panel.n; i++) rows[i] = x.row(panel.begin + i);
        kernels.pack(out.data(panel), rows, panel.n, panel.width, x.dim(), 0, x.dim(), weights);
    }
}

void linear_task(const PackedKernels& kernels, float* y, int64_t y_stride, const PackedRows& x,
                 const PackedRows::Span& span, const Matrix& w, const Vector& b, int64_t first_bias, int64_t o0,
                 int64_t o1) {
    float bias[kRowsPerTask];
    for (int64_t o = o0; o < o1; o++) bias[o - o0] = b[first_bias + o];
    kernels.dot(y, y_stride, x.data(span), span.n, w, bias, o0, o1);
}

namespace {

// Calls work(product, i, output features [o0, o1)) for all features of all products and each i below n_times.
template <class F>
void feature_tasks(Products products, int64_t n_times, int64_t n_tok, F&& work) {
    struct Task {
        const Product* product;
        int64_t o0;
    };
    std::vector<Task> tasks;
    for (const Product& p : products) {
        p.y.resize(n_tok);
        for (int64_t o = 0; o < p.w.n_out; o += kRowsPerTask) tasks.push_back({&p, o});
    }
    const auto n = int64_t(tasks.size());
    for_each_task(n * n_times, n_tok, [&](int64_t i) {
        const Task& task = tasks[size_t(i % n)];
        work(*task.product, i / n, task.o0, std::min(task.o0 + kRowsPerTask, task.product->w.n_out));
    });
}

}  // namespace

void linear(const PackedKernels& kernels, const PackedRows& x, Products products) {
    const auto& spans = x.spans();
    feature_tasks(products, int64_t(spans.size()), x.n(), [&](const Product& p, int64_t i, int64_t o0, int64_t o1) {
        const PackedRows::Span& span = spans[size_t(i)];
        linear_task(kernels, p.y.row(span.begin) + o0, p.y.stride(), x, span, p.w, p.b, 0, o0, o1);
    });
}

void linear(const Kernels& kernels, const F32Rows& x, Products products) {
    feature_tasks(products, 1, x.n(), [&](const Product& p, int64_t, int64_t o0, int64_t o1) {
        linear_task(kernels, p.y, x, 0, x.n(), p.w, p.b, 0, o0, o1);
    });
}
