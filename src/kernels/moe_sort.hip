// moe_sort.hip: puts slots in the order of their experts and cuts them into tiles, the largest tiles first. One launch,
// one block for each expert.
//
// Every block counts all ids, and so knows the places of its own slots and tiles. Then each of its waves goes through a
// part of the ids in order and puts the block's slots there. Counts are integers, so atomics do not make them depend on
// timing.
#include "gpu/wave.h"
#include "kernels.h"

namespace {

constexpr int kThreads = 512;
constexpr int kAhead = 4;  // ids that a lane loads before it looks at one
constexpr int kMaxExperts = 256, kMaxSlots = 65536;

// Calls see(id, slot) in all lanes for a wave's part of the ids, in order. id is -1 past the end.
template <class See>
__device__ void each_id(const int* expert, int begin, int end, See see) {
    for (int s0 = begin + lane_id(); s0 - lane_id() < end; s0 += kAhead * kWave) {
        int ahead[kAhead];
        for (int i = 0; i < kAhead; i++) ahead[i] = s0 + i * kWave < end ? expert[s0 + i * kWave] : -1;
        for (int i = 0; i < kAhead; i++) see(ahead[i], s0 + i * kWave);
    }
}

// How an expert's slots are cut: n_even tiles of `rows`, and one of `last` if there are that many.
struct Cut {
    int rows, n_even, last;

    __device__ Cut(int n_slots, int tile_rows) {
        const int n_tiles = (n_slots + tile_rows - 1) / tile_rows, step = min(tile_rows, kTileRowStep);
        rows = n_tiles > 0 ? round_up((n_slots + n_tiles - 1) / n_tiles, step) : step;
        n_even = n_slots / rows;
        last = n_slots % rows;
    }
};

__device__ int wave_total(int v) {
    for (int mask = kWave / 2; mask > 0; mask /= 2) v += shfl_xor(v, mask);
    return v;
}

// How many slots the experts before e have. All lanes of a wave get the same number, also from the next function.
__device__ int slots_before(const int* count, int e) {
    int n = 0;
    for (int other = lane_id(); other < e; other += kWave) n += count[other];
    return wave_total(n);
}

// How many tiles come before expert e's tiles of `rows` rows: larger ones, and as large ones of experts before e.
__device__ int tiles_before(const int* count, int n_experts, int e, int rows, int tile_rows) {
    int n = 0;
    for (int other = lane_id(); other < n_experts; other += kWave) {
        const Cut cut(count[other], tile_rows);
        const int last_rows = round_up(cut.last, min(tile_rows, kTileRowStep));
        if (cut.rows > rows || (cut.rows == rows && other < e)) n += cut.n_even;
        if (cut.last > 0 && (last_rows > rows || (last_rows == rows && other < e))) n++;
    }
    return wave_total(n);
}

__global__ void __launch_bounds__(kThreads)
    moe_sort_kernel(ExpertTiles tiles, const int* expert, int n_slots, int n_experts, int tile_rows) {
    __shared__ int count[kMaxExperts];      // slots of each expert
    __shared__ int of_wave[kThreads / 32];  // slots of e in each wave's part
    let_next_begin();
    wait_for_previous();
    const int e = int(blockIdx.x);
    const int part = (n_slots + n_waves() - 1) / n_waves(), begin = wave_id() * part;
    const int end = min(begin + part, n_slots);

    if (threadIdx.x < kMaxExperts) count[threadIdx.x] = 0;
    block_sync();
    int mine = 0;
    each_id(expert, begin, end, [&](int id, int) {
        if (id >= 0) atomicAdd(&count[id], 1);
        mine += __popcll(wave_ballot(id == e));
    });
    if (lane_id() == 0) of_wave[wave_id()] = mine;
    block_sync();

    const int first_slot = slots_before(count, e);
    int place = first_slot;
    for (int w = 0; w < wave_id(); w++) place += of_wave[w];
    const uint64_t lower_lanes = (uint64_t(1) << lane_id()) - 1;
    if (mine > 0)
        each_id(expert, begin, end, [&](int id, int slot) {
            const uint64_t lanes = wave_ballot(id == e);
            if (id == e) tiles.slot[place + __popcll(lanes & lower_lanes)] = slot;
            place += __popcll(lanes);
        });

    const Cut cut(count[e], tile_rows);
    const int last_rows = round_up(cut.last, min(tile_rows, kTileRowStep));
    const int even_place = tiles_before(count, n_experts, e, cut.rows, tile_rows);
    const int last_place =
        last_rows == cut.rows ? even_place + cut.n_even : tiles_before(count, n_experts, e, last_rows, tile_rows);
    for (int i = int(threadIdx.x); i < cut.n_even + (cut.last > 0); i += kThreads) {
        const int at = i < cut.n_even ? even_place + i : last_place;
        tiles.expert[at] = e;
        tiles.first[at] = first_slot + i * cut.rows;
        tiles.n_rows[at] = i < cut.n_even ? cut.rows : cut.last;
    }
    if (e > 0) return;
    const int n_tiles = tiles_before(count, n_experts, n_experts, 0, tile_rows);
    if (threadIdx.x == 0) *tiles.n_tiles = n_tiles;
}

}  // namespace

void moe_sort(const ExpertTiles& tiles, const int* expert, int n_slots, int n_experts, int tile_rows,
              gpu::Stream stream) {
    GPU_REQUIRE(n_slots > 0 && n_slots <= kMaxSlots && n_experts > 0 && n_experts <= kMaxExperts);
    GPU_REQUIRE(tile_rows == 16 || (tile_rows > 0 && tile_rows % kTileRowStep == 0));
    GPU_LAUNCH_CHAINED(moe_sort_kernel, dim3(unsigned(n_experts)), dim3(kThreads), 0, stream, tiles, expert, n_slots,
                       n_experts, tile_rows);
}
