// moe_sort.hip: slots in the order of their experts, cut into tiles: one launch, one block an expert.
//
// Every block counts all ids, and so knows the places of its own slots and tiles. Then its waves put its slots there,
// each from its own part of the ids, in order. Counts are integers, so atomics do not make them depend on timing.
#include "gpu/wave.h"
#include "kernels.h"

namespace {

constexpr int kThreads = 512;
constexpr int kAhead = 4;  // ids that a lane loads before it looks at one
constexpr int kMaxExperts = 256, kMaxSlots = 65536;

// A wave's part of the ids, in order: see(id, slot) in all lanes; -1 past the end.
template <class See>
__device__ void each_id(const int* expert, int begin, int end, See see) {
    for (int s0 = begin + lane_id(); s0 - lane_id() < end; s0 += kAhead * kWave) {
        int ahead[kAhead];
        for (int i = 0; i < kAhead; i++) ahead[i] = s0 + i * kWave < end ? expert[s0 + i * kWave] : -1;
        for (int i = 0; i < kAhead; i++) see(ahead[i], s0 + i * kWave);
    }
}

// What the experts before `e` take. All lanes of a wave get the same.
struct Before {
    int slots = 0, tiles = 0;
};
__device__ Before before_expert(const int* count, int e, int tile_rows) {
    Before before;
    for (int other = lane_id(); other < e; other += kWave) {
        before.slots += count[other];
        before.tiles += (count[other] + tile_rows - 1) / tile_rows;
    }
    for (int mask = kWave / 2; mask > 0; mask /= 2) {
        before.slots += shfl_xor(before.slots, mask);
        before.tiles += shfl_xor(before.tiles, mask);
    }
    return before;
}

__global__ void __launch_bounds__(kThreads)
    moe_sort_kernel(ExpertTiles tiles, const int* expert, int n_slots, int n_experts, int tile_rows) {
    __shared__ int count[kMaxExperts];      // slots of each expert
    __shared__ int of_wave[kThreads / 32];  // of e in each wave's part
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

    const Before before = before_expert(count, e, tile_rows);
    int place = before.slots;
    for (int w = 0; w < wave_id(); w++) place += of_wave[w];
    const uint64_t lower_lanes = (uint64_t(1) << lane_id()) - 1;
    if (mine > 0)
        each_id(expert, begin, end, [&](int id, int slot) {
            const uint64_t lanes = wave_ballot(id == e);
            if (id == e) tiles.slot[place + __popcll(lanes & lower_lanes)] = slot;
            place += __popcll(lanes);
        });

    const int n_tiles = (count[e] + tile_rows - 1) / tile_rows;
    for (int i = int(threadIdx.x); i < n_tiles; i += kThreads) {
        tiles.expert[before.tiles + i] = e;
        tiles.first[before.tiles + i] = before.slots + i * tile_rows;
        tiles.n_rows[before.tiles + i] = min(tile_rows, count[e] - i * tile_rows);
    }
    if (e == n_experts - 1 && threadIdx.x == 0) *tiles.n_tiles = before.tiles + n_tiles;
}

}  // namespace

void moe_sort(const ExpertTiles& tiles, const int* expert, int n_slots, int n_experts, int tile_rows,
              gpu::Stream stream) {
    GPU_REQUIRE(n_slots > 0 && n_slots <= kMaxSlots && n_experts > 0 && n_experts <= kMaxExperts);
    GPU_REQUIRE(tile_rows == 16 || tile_rows == 32 || tile_rows == 64 || tile_rows == kGroupRows || tile_rows == 128);
    GPU_LAUNCH_CHAINED(moe_sort_kernel, dim3(unsigned(n_experts)), dim3(kThreads), 0, stream, tiles, expert, n_slots,
                       n_experts, tile_rows);
}
