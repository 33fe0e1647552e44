// amx_attention.cpp: the products of attention with AMX. A page's 32 keys are the rows of two tiles as they lie in
// memory, and so are its values, which it holds transposed.
#include "cpu/packed/amx_tiles.h"
#include "cpu/packed/attention_lanes.h"

namespace {

// scores (32 keys, lanes) = keys (32, P) · queries.
void multiply_keys(float* scores, const bf16* keys, const int32_t* queries, int64_t dim) {
    finish_stores(queries);
    _tile_zero(0);
    _tile_zero(1);
    for (int64_t k = 0; k < dim; k += kStep) {
        _tile_loadd(6, queries + k / 2 * kLanes, 64);
        _tile_loadd(4, keys + k, 2 * dim);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(5, keys + 16 * dim + k, 2 * dim);
        _tile_dpbf16ps(1, 5, 6);
    }
    _tile_stored(0, scores, 64);
    _tile_stored(1, scores + 16 * kLanes, 64);
}

// sums (P, lanes) = sums · factor + values (P, 32) · weights.
void add_values(float* sums, const bf16* values, const int32_t* weights, __m512 factor, int64_t dim) {
    if (_mm512_cmp_ps_mask(factor, _mm512_set1_ps(1.0f), _CMP_NEQ_UQ))
        for (int64_t d = 0; d < dim; d++)
            _mm512_store_ps(sums + d * kLanes, _mm512_mul_ps(_mm512_load_ps(sums + d * kLanes), factor));
    finish_stores(weights);
    _tile_loadd(6, weights, 64);
    for (int64_t d = 0; d < dim; d += 32) {
        _tile_loadd(0, sums + d * kLanes, 64);
        _tile_loadd(4, values + d * kKeys, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(1, sums + (d + 16) * kLanes, 64);
        _tile_loadd(5, values + (d + 16) * kKeys, 64);
        _tile_dpbf16ps(1, 5, 6);
        _tile_stored(0, sums + d * kLanes, 64);
        _tile_stored(1, sums + (d + 16) * kLanes, 64);
    }
}

}  // namespace

void attend_amx(const AttentionTile& tile) {
    configure_tiles(kLanes);
    attend<multiply_keys, add_values>(tile);
}
