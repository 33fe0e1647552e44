// layernorm.hip: GPT-2's norm of rows of the residual stream: a wave a row.
#include "layernorm.h"

#include "launch.h"

namespace {

constexpr int kThreads = 128;

// row_token: nullptr: row t is token t.
__global__ void __launch_bounds__(kThreads)
    layernorm_kernel(bf16* h, bool grouped, const float* x, const int* row_token, LayerNormParams norm, int n_rows) {
    GPU_LDS(lds);
    let_next_begin();
    const StagedNorm staged(lds, norm);
    block_sync();
    wait_for_previous();
    const int row = int(blockIdx.x) * n_waves() + wave_id();
    if (row >= n_rows) return;
    const int64_t t = row_token ? row_token[row] : row;
    layernorm_row(h + int64_t(row) * round_up(norm.hidden_dim, kDepthStep), grouped, x + t * norm.hidden_dim, staged,
                  lane_id());
}

}  // namespace

void layernorm(RowsOut h, const float* x, const int* row_token, const LayerNormParams& norm, int n_rows,
               gpu::Stream stream) {
    GPU_REQUIRE(n_rows > 0 && norm.hidden_dim > 0 && norm.hidden_dim % 32 == 0 && norm.hidden_dim <= kMostNormedDim);
    const int n_waves = kThreads / device_wave();
    GPU_LAUNCH_CHAINED(layernorm_kernel, dim3(unsigned((n_rows + n_waves - 1) / n_waves)), dim3(kThreads),
                       size_t(StagedNorm::bytes(norm.hidden_dim)), stream, h.data, h.order == KOrder::kGrouped, x,
                       row_token, norm, n_rows);
}
