// amx_tiles.h: AMX registers as our products use them. Weights are 16 rows × 32 columns, as they lie in memory;
// activations are 16 pairs of columns × up to 16 tokens, a pair's elements side by side; sums are 16 rows × up to 16
// tokens.
//
// For each row and token, TDPBF16PS adds the even and the odd products of a tile in two chains, k ascending, and then
// both to the sum. Subnormals count as zeros. Tokens do not mix, so a token's bits depend on that token alone.
#pragma once
#include "cpu/packed/avx512_weights.h"

// Tokens that this thread's tiles are shaped for; 0: no shapes are set. Shapes stay set from task to task: setting them
// takes 60 ns, a task of one token 6,000. So nothing else in the process may set or release them, and a forked child
// has to start with 0.
extern thread_local int tile_tokens;  // amx.cpp

// PackedKernels::attend; amx_attention.cpp.
void attend_amx(const AttentionTile& tile);

namespace {

// Needed because GCC 12 does not know that tile loads read memory, nor how much memory a configuration has.
inline void finish_stores(const void* what) {
    asm volatile("" ::"r"(what) : "memory");
}

// Tile 6 gets the shape of weights, the others the shapes of `tokens` tokens. For 16 tokens all shapes are the same.
inline void configure_tiles(int tokens) {
    if (tile_tokens == tokens) return;
    tile_tokens = tokens;
    struct alignas(64) {  // Intel's SDM, LDTILECFG
        uint8_t palette = 1, start_row = 0, reserved[14] = {};
        uint16_t row_bytes[16] = {};
        uint8_t rows[16] = {};
    } config;
    for (int tile = 0; tile < 8; tile++) {
        config.rows[tile] = 16;
        config.row_bytes[tile] = uint16_t(tile == 6 ? 64 : 4 * tokens);
    }
    finish_stores(&config);
    _tile_loadconfig(&config);
}

}  // namespace
