// embed.hip: rows of the embedding table, widened: one block a token.
#include "kernels.h"
#include "quad.h"

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    embed_kernel(float* x, const bf16* embed, const int* ids, const int* sampled, int hidden_dim) {
    let_next_begin();
    wait_for_previous();
    const int t = int(blockIdx.x);
    const int id = ids[t] >= 0 ? ids[t] : max(sampled[-1 - ids[t]], 0);
    const auto* from = reinterpret_cast<const Run*>(embed + int64_t(id) * hidden_dim);
    auto* to = reinterpret_cast<Quad*>(x + int64_t(t) * hidden_dim);
    for (int r = int(threadIdx.x); r < hidden_dim / 8; r += kThreads) {
        const Run run = from[r];
        for (int i = 0; i < 2; i++) {
            const uint32_t low = run.pair[2 * i], high = run.pair[2 * i + 1];
            to[2 * r + i] = {{widen_low(low), widen_high(low), widen_low(high), widen_high(high)}};
        }
    }
}

}  // namespace

void embed(float* x, const bf16* embed, const Tokens& tokens, int hidden_dim, gpu::Stream stream) {
    GPU_REQUIRE(tokens.n > 0 && hidden_dim > 0 && hidden_dim % 32 == 0);
    GPU_LAUNCH_CHAINED(embed_kernel, dim3(unsigned(tokens.n)), dim3(kThreads), 0, stream, x, embed, tokens.id,
                       tokens.sampled, hidden_dim);
}
