// probe.hip: kernels that record what a device does, for test_layouts.cpp and test_wave.cpp.
#include "probe.h"

#include "gpu/wave.h"

namespace {

constexpr int kThreads = 64;  // one wave works, or both do the same

__device__ Place place(At at) {
    return {at.row, at.col};
}

__global__ void layout_kernel(LayoutTables* tables) {
    if (threadIdx.x != 0) return;
    LayoutTables& t = *tables;
    t.wave = kWave;
    t.holders = kHolders;
    t.runs = kRuns;
    t.acc = kAcc;
    t.acc_rows = kAccRows;
    t.frag_rows = kFragRows;
    for (int lane = 0; lane < kWave; lane++) {
        for (int r = 0; r < kRuns; r++) t.frag_at[lane][r] = place(frag_at(lane, r));
        for (int i = 0; i < kAcc; i++) t.acc_at[lane][i] = place(acc_at(lane, i));
    }
    for (int idx = 0; idx < kTileRuns; idx++) t.run_at[idx] = place(run_at(idx));
    for (int row = 0; row < kTile; row++)
        for (int k = 0; k < kTileDepth; k += 8) t.run_index[row][k / 8] = run_index(row, k);
    for (int i = 0; i < kAcc; i++) t.acc_row[i] = acc_row(i);
    for (int col = 0; col < kTileDepth; col++) t.k_slot[col] = k_slot(col);
}

__device__ Frag frag_from(const bf16* rows) {
    Frag f;
    for (int r = 0; r < kRuns; r++) {
        const At at = frag_at(lane_id(), r);
        f.run[r] = *reinterpret_cast<const Run*>(rows + at.row * kTileDepth + at.col);
    }
    return f;
}

__device__ void store_acc(float* d, const Acc& acc) {
    if (wave_id() > 0) return;
    for (int i = 0; i < kAcc; i++) {
        const At at = acc_at(lane_id(), i);
        d[at.row * kTile + at.col] = acc.v[i];
    }
}

__global__ void mma_kernel(float* d, const float* c, const bf16* a, const bf16* b, bool packed) {
    Acc acc;
    for (int i = 0; i < kAcc; i++) {
        const At at = acc_at(lane_id(), i);
        acc.v[i] = c[at.row * kTile + at.col];
    }
    const Frag fa = packed ? load_frag(reinterpret_cast<const Run*>(a), lane_id()) : frag_from(a);
    const Frag fb = packed ? load_frag(reinterpret_cast<const Run*>(b), lane_id()) : frag_from(b);
    mma(acc, fa, fb);
    store_acc(d, acc);
}

__global__ void frag_of_kernel(float* d, const float* c, const bf16* b) {
    Acc half[2], acc = {};
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < kAcc; i++) {
            const At at = acc_at(lane_id(), i);
            half[h].v[i] = c[at.row * kTileDepth + kTile * h + at.col];
        }
    mma(acc, frag_of(half[0], half[1]), frag_from(b));
    store_acc(d, acc);
}

__global__ void rows_kernel(float* sum, float* max_of, const float* c) {
    float row_sums[kAccRows] = {}, row_maxima[kAccRows];
    for (int j = 0; j < kAccRows; j++) row_maxima[j] = -1e30f;
    int rows[kAccRows];
    for (int i = 0; i < kAcc; i++) {
        const At at = acc_at(lane_id(), i);
        const float v = c[at.row * kTile + at.col];
        row_sums[acc_row(i)] += v;
        row_maxima[acc_row(i)] = fmaxf(row_maxima[acc_row(i)], v);
        rows[acc_row(i)] = at.row;
    }
    for (int j = 0; j < kAccRows; j++) {
        const float s = row_sum(row_sums[j]), m = row_max(row_maxima[j]);
        if (wave_id() == 0) {
            sum[lane_id() * kTile + rows[j]] = s;
            max_of[lane_id() * kTile + rows[j]] = m;
        }
    }
}

__global__ void wave_kernel(WaveAnswers* answers, const float* value) {
    GPU_LDS(lds);
    const float v = value[threadIdx.x];
    WaveAnswers a;
    a.lane = lane_id();
    a.wave = wave_id();
    a.n_waves = n_waves();
    a.from_5_on = shfl(v, (lane_id() + 5) % kWave);
    a.from_xor_3 = shfl_xor(v, 3);
    a.ballot = wave_ballot(v > 0);
    a.sum = wave_sum(v);
    a.block_sum = block_sum(v, reinterpret_cast<float*>(lds));
    answers[threadIdx.x] = a;
}

}  // namespace

void probe_layout(LayoutTables* tables, gpu::Stream stream) {
    GPU_LAUNCH(layout_kernel, dim3(1), dim3(kThreads), 0, stream, tables);
}

void probe_mma(float* d, const float* c, const bf16* a, const bf16* b, bool packed, gpu::Stream stream) {
    GPU_LAUNCH(mma_kernel, dim3(1), dim3(kThreads), 0, stream, d, c, a, b, packed);
}

void probe_frag_of(float* d, const float* c, const bf16* b, gpu::Stream stream) {
    GPU_LAUNCH(frag_of_kernel, dim3(1), dim3(kThreads), 0, stream, d, c, b);
}

void probe_rows(float* sum, float* max, const float* c, gpu::Stream stream) {
    GPU_LAUNCH(rows_kernel, dim3(1), dim3(kThreads), 0, stream, sum, max, c);
}

void probe_wave(WaveAnswers* answers, const float* value, int n_threads, gpu::Stream stream) {
    GPU_LAUNCH(wave_kernel, dim3(1), dim3(unsigned(n_threads)), 64 * sizeof(float), stream, answers, value);
}
