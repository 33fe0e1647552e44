// kernels.h: every launcher of a kernel, with shapes: the one header that the forward pass includes.
//
// Shape letters as in model.h; Dp is D rounded up to a multiple of kDepthStep, with zeros, as all depths of matrix
// products are. All pointers are device memory. A launcher stops the program for a shape that its kernel was not
// written for.
#pragma once
#include "bf16.h"
#include "gpu/runtime.h"
#include "kv_page.h"

// ---- weights, packed for the matrix cores ----

// Most rows of activations that a block of gemm_group.h takes: sums and spans' sums are 192 registers then; and where
// two blocks share a unit.
constexpr int kGroupRows = 192, kSmallGroupRows = 64;
constexpr int kTileRowStep = 32;  // tiles of more rows than this have multiples of it
constexpr int kSlabRows = 32;     // rows of a packed matrix that a wave treats together: two tiles
constexpr int kDepthStep = 64;    // k that a slab's loop takes at once: two tiles

// Which rows of the matrix stand in a slab: one lane gets row r of both its tiles.
enum class SlabRows {
    kPlain,    // 32 s + r and 32 s + 16 + r
    kGated,    // gate and linear of one f: 2 (16 s + r) and 2 (16 s + r) + 1
    kRotated,  // the two halves of a RoPE pair: of each head of `head_dim` rows, i and i + head_dim / 2
};

// (n_out, n_in), or n_experts of them. bf16: slabs of (Kp / 32, 2) packed operands. MXFP4: slabs of Kp / 64 blocks of
// 256 words of 8 codes, and of (Kp / 64, 16) words of 4 scales. See pack.hip. Rows past n_out are zeros.
struct PackedMatrix {
    bool mxfp4 = false;
    int n_out = 0, n_in = 0, n_experts = 1;
    const void* tiles = nullptr;
    const uint32_t* scales = nullptr;
    const float* bias = nullptr;  // (n_experts, n_out) in the matrix's own row order; nullptr: none
};

constexpr int round_up(int n, int multiple) {
    return (n + multiple - 1) / multiple * multiple;
}
inline int n_slabs(const PackedMatrix& w) {
    return round_up(w.n_out, kSlabRows) / kSlabRows;
}
// Of one expert.
int64_t packed_tile_bytes(bool mxfp4, int n_out, int n_in);
int64_t packed_scale_bytes(int n_out, int n_in);  // MXFP4

enum class SourceType { kF32, kBF16, kMXFP4 };

constexpr int kLargestPackedScale = 128;  // of MXFP4: 2^1; matrices with larger ones are packed as bf16

// Packs one expert's matrix. source: (n_out, n_in) of the type, (n_in, n_out) if transposed; MXFP4: (n_out,
// n_in / 32, 16) bytes and source_scales (n_out, n_in / 32). It stays MXFP4 if `scales` is given, all else becomes
// bf16. head_dim: for kRotated.
void pack_matrix(void* tiles, uint32_t* scales, const void* source, const uint8_t* source_scales, SourceType type,
                 bool transposed, int n_out, int n_in, SlabRows rows, int head_dim, gpu::Stream stream);

// out (n) f32 from source of the type.
void widen_vector(float* out, const void* source, SourceType type, int64_t n, gpu::Stream stream);

// ---- activations ----

// In which order each 32 of a row stand. kGrouped: place c holds k_slot(c) (gpu/mma.h), as the instructions of
// gpu/group_mma.h take them. Who reads rows says which it wants: dense_order for the products with bf16 matrices,
// expert_order for the experts'.
enum class KOrder { kPlain, kGrouped };
struct RowsOut {
    bf16* data;
    KOrder order;
    RowsOut(bf16* rows, KOrder of_k = KOrder::kPlain) : data(rows), order(of_k) {}
};
KOrder dense_order(int n_rows);
KOrder expert_order(int tile_rows);

// ---- the step's tokens ----

// One layer's part of the KV cache. A page of kPagePositions positions holds for every layer of a kind and every KV
// head the keys as packed tiles (2, P / 32) of (16 positions, 32 dims), then the values as packed tiles (P / 16) of (16
// dims, 32 positions in the order of k_slot).
struct KvLayer {
    bf16* base = nullptr;        // page 0, this layer, KV head 0
    int64_t page_stride = 0;     // elements, page to page
    const int* table = nullptr;  // (slots, table_stride): the pages of a sequence
    int table_stride = 0;
    // 0: page n of a sequence is entry n of its row; else entry n % ring_pages, and only the last pages are there.
    int ring_pages = 0;
    int window = 0;  // keys that a token sees, itself included; 0: all before it
};

struct Tokens {
    int n = 0;
    const int* id = nullptr;       // (T); -1 - i: what stands in sampled[i]
    const int* pos = nullptr;      // (T)
    const int* slot = nullptr;     // (T) which sequence's row of the page tables; -1: padding, which writes no KV
    const int* sampled = nullptr;  // of earlier steps; kNoToken counts as token 0, whose answer has failed
};

// table[entries[i].at] = entries[i].page, before the kernels that read it.
struct PageEntry {
    int at, page;
};
void set_page_entries(int* table, const PageEntry* entries, int n, gpu::Stream stream);
// Zeros in pages (n) of page_bytes, a multiple of 16, each.
void clear_pages(void* pool, const int* pages, int n, int64_t page_bytes, gpu::Stream stream);

// ---- what happens to a token, in order ----

// x (T, D) f32 = rows of embed (V, D), bf16, plus those of positions (C, D), bf16, unless it is nullptr
void embed(float* x, const bf16* embed, const bf16* positions, const Tokens& tokens, int hidden_dim,
           gpu::Stream stream);

// If down: x (T, D) += Σ_a weight (T, A) · down (T, A, D), in order of a. Then h (T, Dp) bf16 = x / rms(x) · gain.
void rmsnorm(RowsOut h, float* x, const float* gain, const float* down, const float* weight, int n_tok, int hidden_dim,
             int experts_per_token, float eps, gpu::Stream stream);

// The same norm of given rows of x (row_token (n)), with `down` added to what is read (x itself stays as it is).
void rmsnorm_rows(RowsOut h, const float* x, const int* row_token, const float* gain, const float* down,
                  const float* weight, int n_rows, int hidden_dim, int experts_per_token, float eps,
                  gpu::Stream stream);

// Rotates q and k by position and writes k and v into the cache; bias added before. w: rows H·P of q and G·P of k
// (kRotated), G·P of v (kPlain): three matrices. cos_sin (positions, P / 2, 2) f32. q (T, H·P) bf16.
struct QkvWeights {
    PackedMatrix q, k, v;
};
void qkv(bf16* q, const KvLayer& kv, const bf16* h, const QkvWeights& w, const float* cos_sin, const Tokens& tokens,
         int head_dim, gpu::Stream stream);

// ---- GPT-2's beside these ----

constexpr int kMostNormedDim = 4096;
struct LayerNormParams {
    const float *gain = nullptr, *bias = nullptr;  // (D)
    int hidden_dim = 0;
    float eps = 0;
};
// h (n_rows, Dp) bf16 = (x - mean) / sqrt(variance + eps) · gain + bias, of rows row_token (n_rows) of x, or of the
// first n_rows if it is nullptr.
void layernorm(RowsOut h, const float* x, const int* row_token, const LayerNormParams& norm, int n_rows,
               gpu::Stream stream);

// What a product norms before it multiplies: x (T, D) f32. h (T, Dp): for the normed rows where they go through memory;
// of few rows every block norms its own, which a launch less is worth.
struct RowsToNorm {
    const float* x = nullptr;
    LayerNormParams norm;
    bf16* h = nullptr;
};
// As qkv, without rotation: q and k are kPlain like v.
void norm_qkv(bf16* q, const KvLayer& kv, const RowsToNorm& in, const QkvWeights& w, const Tokens& tokens, int head_dim,
              gpu::Stream stream);
// act (T, Fp) bf16 = GELU of norm(x) · wᵀ + bias, in the tanh form (Hendrycks and Gimpel, arXiv 1606.08415, §2).
void norm_gelu(RowsOut act, const RowsToNorm& in, const PackedMatrix& w, int n_tok, gpu::Stream stream);

// ---- attention ----

// A run of tokens of one sequence whose query heads share a tile: n_tok · H / G ≤ 16 rows, of wave groups 128.
struct QueryTile {
    int first_token, n_tok;
};

// att (T, H·P rounded up to kDepthStep) bf16; sinks (H) f32, nullptr: none. max_spans: at least the spans that any
// tile's keys lie in. scratch: attention_scratch_bytes(), which are enough for smaller sizes too; used where spans are
// spread over waves.
int64_t attention_scratch_bytes(int n_tiles, int max_spans, int n_kv_heads, int head_dim);
void attention(RowsOut att, const bf16* q, const KvLayer& kv, const float* sinks, const QueryTile* tiles, int n_tiles,
               int max_spans, const Tokens& tokens, int n_heads, int n_kv_heads, int head_dim, void* scratch,
               gpu::Stream stream);

// The same for tiles of many tokens, none of them padding, by wave groups: up to group_tile_tokens() each, which is 0
// where the device has no groups or heads are not of 64.
int group_tile_tokens(int n_heads, int n_kv_heads, int head_dim);
int least_group_tokens();  // of a sequence in a step, from which on these tiles are faster
void attention_of_groups(RowsOut att, const bf16* q, const KvLayer& kv, const float* sinks, const QueryTile* tiles,
                         int n_tiles, const Tokens& tokens, int n_heads, int n_kv_heads, gpu::Stream stream);

// x (T, n_out) f32 += att (T, n_in) · wᵀ + bias
void gemm_residual(float* x, const bf16* att, const PackedMatrix& w, int n_tok, gpu::Stream stream);

// h (T, Dp) = norm of x as rmsnorm; logits = h before rounding (f32) · w_router (E, D)ᵀ + b_router, in f32; expert (T,
// A): the largest logits, ties to the smaller id, stored in ascending order of id; weight (T, A): softmax over these.
// w_router bf16 or f32 as w_is_f32 says.
void router(RowsOut h, int* expert, float* weight, const float* x, const float* gain, const void* w_router,
            bool w_is_f32, const float* b_router, int n_tok, int hidden_dim, int n_experts, int experts_per_token,
            float eps, gpu::Stream stream);

// Tokens in expert order. A slot is t · A + a; each expert's slots ascend, and are cut into tiles: as few of at most
// tile_rows as hold them, all of the same multiple of 32 (if tile_rows is more than that) but the last, which may be
// smaller. The largest tiles come first.
struct ExpertTiles {
    int* n_tiles = nullptr;  // (1)
    int* expert = nullptr;   // (max_tiles)
    int* first = nullptr;    // (max_tiles) index into slot
    int* n_rows = nullptr;   // (max_tiles)
    int* slot = nullptr;     // (T · A)
};
// Rows a tile that are best on this device.
int expert_tile_rows(int n_slots, int n_experts);
constexpr int max_expert_tiles(int n_slots, int n_experts, int tile_rows) {
    const int by_experts = n_slots < n_experts ? n_slots : n_experts;
    return by_experts + (n_slots - by_experts) / tile_rows;
}
void moe_sort(const ExpertTiles& tiles, const int* expert, int n_slots, int n_experts, int tile_rows,
              gpu::Stream stream);

// act (T · A, Fp) bf16, row = place in expert order: SwiGLU of h[slot / A] · w_upᵀ + bias (kGated rows).
void moe_up(bf16* act, const bf16* h, const PackedMatrix& w_up, const ExpertTiles& tiles, int n_slots, int tile_rows,
            int experts_per_token, float limit, float alpha, gpu::Stream stream);
// down (T, A, D) f32, row = slot: act · w_downᵀ + bias.
void moe_down(float* down, const bf16* act, const PackedMatrix& w_down, const ExpertTiles& tiles, int n_slots,
              int tile_rows, gpu::Stream stream);

// logits (n_rows, V) f32 = h (n_rows, Dp) · wᵀ
void gemm_logits(float* logits, const bf16* h, const PackedMatrix& w, int n_rows, gpu::Stream stream);

constexpr int kMostRuledOut = 8;
struct RowSampling {
    float temperature, top_p;
    uint64_t seed, pos;
    int place = 0;  // of the row's token
    int n_ruled_out = 0;
    int ruled_out[kMostRuledOut] = {};
    int top_k = 0;  // 0: all
};
constexpr int kMostSampledVocab = 1 << 19;  // no sum of weights passes 2^63
constexpr int kNoToken = -2;                // logits with a NaN or +infinity, or without any number
// token[place of each row]: as sample_token (sampler.h): temperature 0 the largest, ties to the smaller id; else a draw
// from the softmax, cut to top_k and top_p, with the number random_uniform(seed, pos). Or kNoToken. Logits of tokens
// that are ruled out become -infinity.
void sample(int* token, float* logits, const RowSampling* sampling, int n_rows, int vocab_size, gpu::Stream stream);

// Lanes of a wave as the kernels were compiled for; tests compare them with the device's.
int compiled_wave(gpu::Stream stream);
