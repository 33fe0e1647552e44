// embed.hip: rows of the embedding table, widened, and of a table of positions, if there is one: one block a token.
#include "kernels.h"
#include "quad.h"

namespace {

constexpr int kThreads = 256;

// Half of a run.
__device__ Quad widened(const Run& run, int half) {
    const uint32_t low = run.pair[2 * half], high = run.pair[2 * half + 1];
    return {{widen_low(low), widen_high(low), widen_low(high), widen_high(high)}};
}

__global__ void __launch_bounds__(kThreads)
    embed_kernel(float* x, const bf16* embed, const bf16* positions, const int* ids, const int* pos, const int* sampled,
                 int hidden_dim) {
    let_next_begin();
    wait_for_previous();
    const int t = int(blockIdx.x);
    const int id = ids[t] >= 0 ? ids[t] : max(sampled[-1 - ids[t]], 0);
    const auto* from = reinterpret_cast<const Run*>(embed + int64_t(id) * hidden_dim);
    const auto* position = reinterpret_cast<const Run*>(positions + (positions ? int64_t(pos[t]) * hidden_dim : 0));
    auto* to = reinterpret_cast<Quad*>(x + int64_t(t) * hidden_dim);
    for (int r = int(threadIdx.x); r < hidden_dim / 8; r += kThreads) {
        Quad half[2] = {widened(from[r], 0), widened(from[r], 1)};
        if (positions)
            for (int i = 0; i < 2; i++) {
                const Quad added = widened(position[r], i);
#pragma unroll
                for (int j = 0; j < 4; j++) half[i].v[j] += added.v[j];
            }
        to[2 * r] = half[0];
        to[2 * r + 1] = half[1];
    }
}

}  // namespace

void embed(float* x, const bf16* embed, const bf16* positions, const Tokens& tokens, int hidden_dim,
           gpu::Stream stream) {
    GPU_REQUIRE(tokens.n > 0 && hidden_dim > 0 && hidden_dim % 32 == 0);
    GPU_LAUNCH_CHAINED(embed_kernel, dim3(unsigned(tokens.n)), dim3(kThreads), 0, stream, x, embed, positions,
                       tokens.id, tokens.pos, tokens.sampled, hidden_dim);
}
