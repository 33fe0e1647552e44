// rmsnorm.hip: adds the experts' results to the residual stream and norms it: one block for each token, x read once.
//
// A block for one token is limited by latency. So a thread, which holds one quad of the row (two if D > 4096), loads
// all that it needs (gain, x, the experts' rows) before it uses any of it.
//
// Squares are summed in f32: 4 · kQuads in a thread, pairwise in a wave, then over the waves. No term is negative, so
// the sum's relative error is at most (8 + 6 + 32) · 2^-24 = 3e-6, and the norm's half of that. Rounding to bf16 has
// 2^-8, far more.
#include "kernels.h"
#include "quad.h"

namespace {

constexpr int kMaxThreads = 1024;

struct Norm {
    const float* gain;     // (D)
    const float* down;     // (T, A, D) or nullptr
    const float* weight;   // (T, A)
    const int* row_token;  // (rows) or nullptr: row t is token t
    int hidden_dim, experts_per_token;
    float eps;
};

// x_out: nullptr if x is to stay as it is.
template <int kQuads>
__global__ void __launch_bounds__(kMaxThreads)
    rmsnorm_kernel(bf16* h, bool grouped, float* x_out, const float* x, Norm norm) {
    constexpr int kRowsAtOnce = 4 / kQuads;  // experts' rows that are loaded together
    __shared__ float scratch[kMaxThreads / 32];
    let_next_begin();
    const int n_quads = norm.hidden_dim / 4, n_padded_quads = round_up(norm.hidden_dim, kDepthStep) / 4;
    const auto quad = [](int i) { return int(threadIdx.x) + i * int(blockDim.x); };
    const auto* gain = reinterpret_cast<const Quad*>(norm.gain);
    Quad g[kQuads] = {};
    for (int i = 0; i < kQuads; i++)
        if (quad(i) < n_quads) g[i] = gain[quad(i)];  // loaded while the kernel ahead still runs

    wait_for_previous();
    const int row = int(blockIdx.x), t = norm.row_token ? norm.row_token[row] : row;
    const auto* x_row = reinterpret_cast<const Quad*>(x) + int64_t(t) * n_quads;
    Quad sum[kQuads] = {}, residual[kQuads] = {};
    for (int i = 0; i < kQuads; i++)
        if (quad(i) < n_quads) residual[i] = x_row[quad(i)];
    const int n_down = norm.down ? norm.experts_per_token : 0;
    const auto* down = reinterpret_cast<const Quad*>(norm.down) + int64_t(t) * n_down * n_quads;
    for (int a0 = 0; a0 < n_down; a0 += kRowsAtOnce) {
        Quad d[kRowsAtOnce][kQuads] = {};
        float weight[kRowsAtOnce] = {};
        for (int a = 0; a < kRowsAtOnce; a++) {
            if (a0 + a >= n_down) continue;
            weight[a] = norm.weight[int64_t(t) * n_down + a0 + a];
            for (int i = 0; i < kQuads; i++)
                if (quad(i) < n_quads) d[a][i] = down[int64_t(a0 + a) * n_quads + quad(i)];
        }
        for (int a = 0; a < kRowsAtOnce; a++)
            for (int i = 0; i < kQuads; i++)
                for (int j = 0; j < 4; j++) sum[i].v[j] = fmaf(weight[a], d[a][i].v[j], sum[i].v[j]);
    }
    float squares = 0;
    for (int i = 0; i < kQuads; i++) {
        for (int j = 0; j < 4; j++) sum[i].v[j] += residual[i].v[j];
        squares = add_squares(squares, sum[i]);
    }

    const float scale = norm_scale(block_sum(squares, scratch), norm.hidden_dim, norm.eps);
    auto* x_out_row = reinterpret_cast<Quad*>(x_out) + int64_t(t) * n_quads;
    bf16* const h_row = h + 4 * int64_t(row) * n_padded_quads;
    for (int i = 0; i < kQuads; i++) {
        if (quad(i) < n_quads) {
            if (x_out) x_out_row[quad(i)] = sum[i];
            store_quad(h_row, quad(i), narrow_quad(normed(sum[i], scale, g[i])), grouped);
        } else if (quad(i) < n_padded_quads) {
            store_quad(h_row, quad(i), {}, grouped);
        }
    }
}

void launch(RowsOut h, float* x_out, const float* x, const Norm& norm, int n_rows, gpu::Stream stream) {
    GPU_REQUIRE(n_rows > 0 && norm.hidden_dim > 0 && norm.hidden_dim % 32 == 0 && norm.hidden_dim <= 8192);
    GPU_REQUIRE(!norm.down || (norm.weight && norm.experts_per_token > 0));
    const int n_quads = round_up(norm.hidden_dim, kDepthStep) / 4;
    const int per_thread = n_quads <= kMaxThreads ? 1 : 2, n_threads = round_up(n_quads / per_thread, 64);
    const auto kernel = per_thread == 1 ? rmsnorm_kernel<1> : rmsnorm_kernel<2>;
    GPU_LAUNCH_CHAINED(kernel, dim3(unsigned(n_rows)), dim3(unsigned(n_threads)), 0, stream, h.data,
                       h.order == KOrder::kGrouped, x_out, x, norm);
}

}  // namespace

void rmsnorm(RowsOut h, float* x, const float* gain, const float* down, const float* weight, int n_tok, int hidden_dim,
             int experts_per_token, float eps, gpu::Stream stream) {
    const Norm norm = {gain, down, weight, nullptr, hidden_dim, experts_per_token, eps};
    launch(h, down ? x : nullptr, x, norm, n_tok, stream);
}

void rmsnorm_rows(RowsOut h, const float* x, const int* row_token, const float* gain, const float* down,
                  const float* weight, int n_rows, int hidden_dim, int experts_per_token, float eps,
                  gpu::Stream stream) {
    const Norm norm = {gain, down, weight, row_token, hidden_dim, experts_per_token, eps};
    launch(h, nullptr, x, norm, n_rows, stream);
}
