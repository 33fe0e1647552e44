// pack.hip: brings weights into the order in which the matrix cores take them: one pass over each matrix, at load.
//
// A matrix becomes slabs of 32 rows, two tiles. A wave with both tiles then holds both rows of every pair that an
// epilogue needs together (SlabRows). In bf16, a slab has two operands for each 32 k, packed as tiles are. In MXFP4, it
// has for each 64 k the codes of four operands (two parts, two tiles of k), 1 KB in such an order that a wave's 16-byte
// loads are contiguous; and for each row a word of four scales.
#include "gpu/mxfp4.h"
#include "kernels.h"

namespace {

constexpr int kThreads = 256;

struct Source {
    const void* data;
    const uint8_t* scales;
    SourceType type;
    bool transposed;
    int n_out, n_in;
    SlabRows rows;
    int head_dim;
};

// Which row of the matrix is row r of tile `tile` of a slab.
__device__ int source_row(const Source& s, int slab, int tile, int r) {
    if (s.rows == SlabRows::kPlain) return kSlabRows * slab + kTile * tile + r;
    if (s.rows == SlabRows::kGated) return 2 * (kTile * slab + r) + tile;
    const int slabs_per_head = s.head_dim / kSlabRows;
    return slab / slabs_per_head * s.head_dim + slab % slabs_per_head * kTile + r + tile * (s.head_dim / 2);
}

// One E2M1 code times its scale: exact, unless the result is too small for bf16.
__device__ bf16 decoded(const Source& s, int row, int k) {
    const int64_t at = int64_t(row) * s.n_in + k;
    const int code = static_cast<const uint8_t*>(s.data)[at / 2] >> (4 * (at % 2)) & 15, magnitude = code & 7;
    const float value =
        magnitude < 2 ? 0.5f * float(magnitude) : ldexpf(1.0f + 0.5f * float(code & 1), magnitude / 2 - 1);
    return narrow(ldexpf(code & 8 ? -value : value, int(s.scales[at / kTileDepth]) - 127));
}

__device__ bf16 element(const Source& s, int row, int k) {
    if (s.type == SourceType::kMXFP4) return decoded(s, row, k);
    const int64_t at = s.transposed ? int64_t(k) * s.n_out + row : int64_t(row) * s.n_in + k;
    if (s.type == SourceType::kF32) return narrow(static_cast<const float*>(s.data)[at]);
    return static_cast<const bf16*>(s.data)[at];
}

// One thread a run.
__global__ void pack_bf16_kernel(Run* tiles, Source s, int64_t n_runs, int n_tiles_k) {
    const int64_t idx = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    if (idx >= n_runs) return;
    const int64_t tile = idx / kTileRuns;
    const int slab = int(tile / (2 * n_tiles_k)), tile_k = int(tile / 2 % n_tiles_k);
    const int of_tile = int(idx % kTileRuns);
    Run run = {};
    for (int j = 0; j < 4; j++) {
        const InSlab at = weight_pair_at(of_tile % kHolders, int(tile % 2), of_tile / kHolders, j);
        const int row = source_row(s, slab, at.tile, at.row), k = kTileDepth * tile_k + at.k;
        if (row < s.n_out && k < s.n_in)
            run.pair[j] = element(s, row, k).bits | uint32_t(element(s, row, k + 1).bits) << 16;
    }
    tiles[idx] = run;
}

// One thread a word of 8 codes. A block's words: (kRuns chunks, kHolders lanes, 4), a lane's words in the order (part,
// tile of k, run).
__global__ void pack_codes_kernel(uint32_t* words, Source s, int64_t n_words, int n_steps) {
    const int64_t idx = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    if (idx >= n_words) return;
    const int w = int(idx % 256);
    const int step = int(idx / 256 % n_steps), slab = int(idx / 256 / n_steps);
    const int of_lane = w / (4 * kHolders) * 4 + w % 4, tile_k = of_lane / kRuns % 2, part = of_lane / kRuns / 2;
    const int own_run = of_lane % kRuns;
    uint32_t word = 0;
    for (int r = kWordsShareRuns ? 0 : own_run; r < (kWordsShareRuns ? kRuns : own_run + 1); r++) {
        const SlabRun run = slab_run(part, r);
        const At at = frag_at(w / 4 % kHolders, run.run);
        const int row = source_row(s, slab, run.tile, at.row), k = kDepthStep * step + kTileDepth * tile_k + at.col;
        if (row >= s.n_out || k >= s.n_in) continue;
        const int64_t first = int64_t(row) * s.n_in + k;
        const auto* codes = static_cast<const uint8_t*>(s.data) + first / 2;
        const int scale = s.scales[first / kTileDepth];
        for (int i = 0; i < 8; i++)
            word |= placed_code(own_run, r, i, kept_code(codes[i / 2] >> (4 * (i % 2)) & 15u, scale));
    }
    words[idx] = word;
}

// One thread a word of 4 scales: (tile of k, tile of rows) of one row.
__global__ void pack_scales_kernel(uint32_t* words, Source s, int64_t n_words, int n_steps) {
    const int64_t idx = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    if (idx >= n_words) return;
    const int step = int(idx / kTile % n_steps), slab = int(idx / kTile / n_steps);
    uint32_t word = 0;
    for (int i = 0; i < 4; i++) {
        const int row = source_row(s, slab, i % 2, int(idx % kTile)), block = 2 * step + i / 2;
        if (row < s.n_out && block < s.n_in / kTileDepth)
            word |= uint32_t(s.scales[int64_t(row) * (s.n_in / kTileDepth) + block] + kScaleToPacked) << (8 * i);
    }
    words[idx] = word;
}

__global__ void widen_kernel(float* out, const void* source, bool is_f32, int64_t n) {
    const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    if (i >= n) return;
    out[i] = is_f32 ? static_cast<const float*>(source)[i] : widen(static_cast<const bf16*>(source)[i]);
}

dim3 blocks_for(int64_t n) {
    return dim3(unsigned((n + kThreads - 1) / kThreads));
}

int64_t slab_count(int n_out) {
    return round_up(n_out, kSlabRows) / kSlabRows;
}

}  // namespace

int64_t packed_tile_bytes(bool mxfp4, int n_out, int n_in) {
    const int64_t n_elements = slab_count(n_out) * kSlabRows * round_up(n_in, kDepthStep);
    return mxfp4 ? n_elements / 2 : n_elements * 2;
}

int64_t packed_scale_bytes(int n_out, int n_in) {
    return slab_count(n_out) * kSlabRows * (round_up(n_in, kDepthStep) / 32);
}

void pack_matrix(void* tiles, uint32_t* scales, const void* source, const uint8_t* source_scales, SourceType type,
                 bool transposed, int n_out, int n_in, SlabRows rows, int head_dim, gpu::Stream stream) {
    GPU_REQUIRE(n_in % 32 == 0 && n_out > 0);
    GPU_REQUIRE(rows != SlabRows::kRotated || (head_dim % 32 == 0 && n_out % head_dim == 0));
    GPU_REQUIRE(rows != SlabRows::kGated || n_out % 2 == 0);
    const Source s = {source, source_scales, type, transposed, n_out, n_in, rows, head_dim};
    const int n_steps = round_up(n_in, kDepthStep) / kDepthStep;
    GPU_REQUIRE(type != SourceType::kMXFP4 || (!transposed && source_scales));
    if (scales) {
        GPU_REQUIRE(type == SourceType::kMXFP4);
        const int64_t n_words = slab_count(n_out) * n_steps * 256, n_scales = slab_count(n_out) * n_steps * 16;
        GPU_LAUNCH(pack_codes_kernel, blocks_for(n_words), dim3(kThreads), 0, stream, static_cast<uint32_t*>(tiles), s,
                   n_words, n_steps);
        GPU_LAUNCH(pack_scales_kernel, blocks_for(n_scales), dim3(kThreads), 0, stream, scales, s, n_scales, n_steps);
    } else {
        const int64_t n_runs = slab_count(n_out) * n_steps * 4 * 64;
        GPU_LAUNCH(pack_bf16_kernel, blocks_for(n_runs), dim3(kThreads), 0, stream, static_cast<Run*>(tiles), s, n_runs,
                   2 * n_steps);
    }
}

void widen_vector(float* out, const void* source, SourceType type, int64_t n, gpu::Stream stream) {
    GPU_REQUIRE(type != SourceType::kMXFP4 && n > 0);
    GPU_LAUNCH(widen_kernel, blocks_for(n), dim3(kThreads), 0, stream, out, source, type == SourceType::kF32, n);
}
