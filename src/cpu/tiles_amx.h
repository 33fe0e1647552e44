// tiles_amx.h: AMX registers as our products use them: tiles 0 to 3 sum, 4 and 5 hold weights (16 rows × 32 columns, as
// they lie in memory), 6 and 7 activations (16 pairs of columns × up to 16 tokens, a pair's elements side by side).
//
// TDPBF16PS adds, for each row and token, the even and the odd products of a tile in two chains, k ascending, with
// subnormals as zeros, and then both to the sum: no token sees another, so a token's bits are its own.
#pragma once
#include "cpu/bf16_avx512.h"

namespace {

// GCC 12 does not know that tile loads read memory, nor how much of it a configuration is.
inline void finish_stores(const void* what) {
    asm volatile("" ::"r"(what) : "memory");
}

// Tile shapes for activations of tokens_a (tile 6) and tokens_b (tile 7). Clears all tiles.
inline void configure_tiles(int tokens_a, int tokens_b) {
    struct alignas(64) {  // Intel's SDM, LDTILECFG
        uint8_t palette = 1, start_row = 0, reserved[14] = {};
        uint16_t row_bytes[16] = {};
        uint8_t rows[16] = {};
    } config;
    for (int tile = 0; tile < 8; tile++) {
        config.rows[tile] = 16;
        config.row_bytes[tile] = uint16_t(tile == 4 || tile == 5 ? 64 : 4 * (tile % 2 ? tokens_b : tokens_a));
    }
    finish_stores(&config);
    _tile_loadconfig(&config);
}

}  // namespace
