// probe.h: kernels that ask a device, real or emulated, what gpu/mma.h and gpu/wave.h are there.
#pragma once
#include "bf16.h"
#include "gpu/runtime.h"

struct Place {
    int row, col;
};

// The functions of gpu/mma.h as tables; of larger sizes than any device needs.
struct LayoutTables {
    int wave, holders, runs, acc, acc_rows, frag_rows;
    Place frag_at[64][4];  // [lane][r]
    Place run_at[64];
    int run_index[16][4];  // [row][k / 8]
    Place acc_at[64][8];   // [lane][i]
    int acc_row[8];
    int k_slot[32];
};
void probe_layout(LayoutTables* tables, gpu::Stream stream);

// d (16, 16) = c (16, 16) + a (16, 32) · b (16, 32)ᵀ. packed: a and b are packed tiles, else rows.
void probe_mma(float* d, const float* c, const bf16* a, const bf16* b, bool packed, gpu::Stream stream);

// d (16, 16) = frag_of(left and right half of c (16, 32)) · b (16, 32)ᵀ
void probe_frag_of(float* d, const float* c, const bf16* b, gpu::Stream stream);

// sum, max (64, 16): of rows of c (16, 16) as each lane that holds one got it; other rows stay as they are.
void probe_rows(float* sum, float* max, const float* c, gpu::Stream stream);

struct WaveAnswers {
    float from_5_on, from_xor_3, sum, block_sum;
    int lane, wave, n_waves;
    unsigned long long ballot;  // value > 0
};
// value, answers (n_threads)
void probe_wave(WaveAnswers* answers, const float* value, int n_threads, gpu::Stream stream);
