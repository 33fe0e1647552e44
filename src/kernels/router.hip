// router.hip: the norm before the experts, and which experts a token takes: one block for one or several tokens.
//
// The block's tokens are normed at the same time, each by an equal number of threads, and put into LDS in f32. Then a
// wave takes whole experts for some of the tokens: a lane sums the products of every kWave-th run of eight, and the
// wave sums its lanes. So w_router is read only once or twice for all the block's tokens. No sum depends on the number
// of tokens: squares are summed as if a token had all the block's threads. For the same reason the block's size is
// fixed.
//
// An expert's rank is the number of experts before it, counted by ballots. Ranks below A are chosen. All ranks are
// different, even if logits are NaN: those come last.
#include "kernels.h"
#include "launch.h"
#include "quad.h"
#include "tuning.h"

namespace {

constexpr int kThreads = 1024;
constexpr int kMaxExperts = 256, kMaxChosen = 8;
constexpr int kBlockTokens = 4;         // tokens of a block, if there are many
constexpr int kMaxRowBytes = 56 << 10;  // rows in LDS; with the static arrays less than AMD's 64 KB

struct Norm {
    const float* gain;  // (D)
    int hidden_dim;
    float eps;
};

struct Experts {
    const void* w;  // (E, D)
    const float* bias;
    int n, n_chosen;
};

// A thread's part of one of a block's kTok rows. kLanes of the block's threads work on the row. Each of them does the
// work of kParts of kThreads threads, one after the other, whose quads are kThreads apart.
template <int kTok>
struct RowPart {
    static constexpr int kLanes = kThreads / kTok;
    static constexpr int kQuads = kTok == 1 ? 2 : kTok;  // enough for a row of 8192, or of kMaxRowBytes / kTok
    static constexpr int kParts = kTok;
    Quad v[kQuads] = {};

    __device__ static int lane() { return int(threadIdx.x) % kLanes; }
    __device__ static int quad(int i) { return lane() + i * kLanes; }
    __device__ void load(const float* row, int n_quads) {
        for (int i = 0; i < kQuads; i++)
            if (quad(i) < n_quads) v[i] = reinterpret_cast<const Quad*>(row)[quad(i)];
    }
    // The sum of the row's squares. All threads of the block must call it. scratch: (kThreads / 32) for each row.
    __device__ float sum_squares(float* scratch) const {
        for (int part = 0; part < kParts; part++) {
            float squares = 0;
            for (int i = part; i < kQuads; i += kParts) squares = add_squares(squares, v[i]);
            squares = wave_sum(squares);
            if (lane_id() == 0) scratch[(lane() + part * kLanes) / kWave] = squares;
        }
        block_sync();
        float sum = 0;
        for (int w = 0; w < n_waves(); w++) sum += scratch[w];
        return sum;
    }
};

// Norms kTok rows of x from `first` on; past the last row, the last one again. Writes them rounded to h, and unrounded
// to normed_rows (kTok, D) in LDS. There a row's even quads come first, then the odd ones, so that lanes with
// neighbouring runs read neighbouring quads.
template <int kTok>
__device__ void norm_tokens(bf16* h, bool grouped, float* normed_rows, const float* x, int first, int n_mine,
                            const Norm& norm, const RowPart<kTok>& gain, float (*scratch)[kThreads / 32]) {
    const int n_quads = norm.hidden_dim / 4, n_padded_quads = round_up(norm.hidden_dim, kDepthStep) / 4;
    const int mine = int(threadIdx.x) / RowPart<kTok>::kLanes, t = first + min(mine, n_mine - 1);
    RowPart<kTok> row;
    row.load(x + int64_t(t) * norm.hidden_dim, n_quads);
    const float scale = norm_scale(row.sum_squares(scratch[mine]), norm.hidden_dim, norm.eps);

    bf16* const h_row = h + 4 * int64_t(t) * n_padded_quads;
    auto* to = reinterpret_cast<Quad*>(normed_rows + mine * norm.hidden_dim);
    for (int i = 0; i < RowPart<kTok>::kQuads; i++) {
        const int q = row.quad(i);
        if (q < n_quads) {
            const Quad out = normed(row.v[i], scale, gain.v[i]);
            to[q % 2 * (n_quads / 2) + q / 2] = out;
            if (mine < n_mine) store_quad(h_row, q, narrow_quad(out), grouped);
        } else if (q < n_padded_quads && mine < n_mine) {
            store_quad(h_row, q, {}, grouped);
        }
    }
}

// Eight neighbours of a row of w_router in the type in which they are stored.
template <bool kF32>
struct alignas(16) Eight {
    uint32_t word[kF32 ? 8 : 4];

    __device__ float operator[](int i) const {
        if (kF32) return bits_to_f32(word[i]);
        return i % 2 ? widen_high(word[i / 2]) : widen_low(word[i / 2]);
    }
};

// Runs of w_router for the wave's experts. All of them are loaded before one is used.
template <int kTok, bool kF32>
struct Ahead {
    static constexpr int kExperts = kTok == 1 ? 1 : 2;  // at a time, so that both use a quad read from LDS
    static constexpr int kRunsEach = (kTok == 1 ? 6 : 2) / (kF32 ? 2 : 1);
    Eight<kF32> run[kExperts][kRunsEach];

    // Loads every kWave-th run from run0 on, of expert e0 and those `apart` further on.
    __device__ void load(const Experts& experts, int e0, int apart, int run0, int n_runs) {
        const auto* w = static_cast<const Eight<kF32>*>(experts.w);
        for (int i = 0; i < kExperts; i++)
            for (int j = 0; j < kRunsEach; j++) {
                const int e = e0 + i * apart, r = run0 + j * kWave;
                if (e < experts.n && r < n_runs)
                    run[i][j] = w[int64_t(e) * n_runs + r];
                else
                    run[i][j] = {};
            }
    }
};

// Computes logits (.., kMaxExperts) of kTok normed rows for the wave's experts: expert `lane` and every n_lanes-th
// after it. ahead: the first runs, already loaded.
template <int kTok, class Ahead>
__device__ void score(float* logits, const float* normed_rows, const Experts& experts, int lane, int n_lanes,
                      int hidden_dim, Ahead& ahead) {
    constexpr int kExperts = Ahead::kExperts, kStride = Ahead::kRunsEach * kWave;
    const int n_runs = hidden_dim / 8;
    for (int e0 = lane; e0 < experts.n; e0 += n_lanes * kExperts) {
        float sum[kTok][kExperts] = {};
        for (int run0 = lane_id(); run0 < n_runs; run0 += kStride) {
            if (e0 != lane || run0 != lane_id()) ahead.load(experts, e0, n_lanes, run0, n_runs);
            for (int j = 0; j < kStride / kWave; j++) {
                const int run = run0 + j * kWave;
                if (run >= n_runs) continue;
                for (int t = 0; t < kTok; t++) {
                    const auto* quads = reinterpret_cast<const Quad*>(normed_rows + t * hidden_dim);
                    for (int half = 0; half < 2; half++) {
                        const Quad x = quads[half * n_runs + run];
                        for (int i = 0; i < kExperts; i++)
                            for (int k = 0; k < 4; k++)
                                sum[t][i] = fmaf(x.v[k], ahead.run[i][j][4 * half + k], sum[t][i]);
                    }
                }
            }
        }
        for (int i = 0; i < kExperts; i++) {
            const int e = e0 + i * n_lanes;
            if (e >= experts.n) continue;
            const float bias = experts.bias ? experts.bias[e] : 0.0f;
            for (int t = 0; t < kTok; t++) {
                const float logit = wave_sum(sum[t][i]) + bias;
                if (lane_id() == 0) logits[t * kMaxExperts + e] = logit;
            }
        }
    }
}

// Whether a comes before b: it is larger, or equal and of a smaller id. A NaN comes after all numbers.
__device__ bool comes_before(float a, int id_a, float b, int id_b) {
    const bool nan_a = a != a, nan_b = b != b;
    if (nan_a || nan_b) return nan_a == nan_b ? id_a < id_b : nan_b;
    return a != b ? a > b : id_a < id_b;
}

// For the wave's (token, expert) pairs: puts an expert of rank r < A into ranked[token][r].
__device__ void rank_experts(int (*ranked)[kMaxChosen], const float* logits, int n_tok, const Experts& experts) {
    for (int pair = wave_id(); pair < n_tok * experts.n; pair += n_waves()) {
        const int t = pair / experts.n, e = pair % experts.n;
        const float *logit = logits + t * kMaxExperts, mine = logit[e];
        int rank = 0;
        for (int e0 = 0; e0 < experts.n; e0 += kWave) {
            const int other = e0 + lane_id();
            rank += __popcll(wave_ballot(other < experts.n && comes_before(logit[other], other, mine, e)));
        }
        if (rank < experts.n_chosen && lane_id() == 0) ranked[t][rank] = e;
    }
}

// kGroups: groups of waves, each with an equal share of the tokens, and all experts.
template <int kTok, int kGroups, bool kF32>
__global__ void __launch_bounds__(kThreads) router_kernel(bf16* h, bool grouped, int* expert, float* weight,
                                                          const float* x, Norm norm, Experts experts, int n_tok) {
    GPU_LDS(lds);  // (kTok, D) f32
    __shared__ float scratch[kTok][kThreads / 32];
    __shared__ float logits[kTok * kMaxExperts];
    __shared__ int ranked[kTok][kMaxChosen];
    let_next_begin();
    RowPart<kTok> gain;
    gain.load(norm.gain, norm.hidden_dim / 4);
    const int group = wave_id() % kGroups, lane = wave_id() / kGroups, n_lanes = n_waves() / kGroups;
    Ahead<kTok, kF32> ahead;
    ahead.load(experts, lane, n_lanes, lane_id(), norm.hidden_dim / 8);

    wait_for_previous();  // weights, which never change, are already being loaded
    const int first = int(blockIdx.x) * kTok, n_mine = min(kTok, n_tok - first);
    auto* normed_rows = reinterpret_cast<float*>(lds);
    norm_tokens<kTok>(h, grouped, normed_rows, x, first, n_mine, norm, gain, scratch);
    block_sync();
    constexpr int kTokWave = kTok / kGroups;
    score<kTokWave>(logits + group * kTokWave * kMaxExperts, normed_rows + group * kTokWave * norm.hidden_dim, experts,
                    lane, n_lanes, norm.hidden_dim, ahead);
    block_sync();
    rank_experts(ranked, logits, n_mine, experts);
    block_sync();

    // One thread for each chosen expert finds its weight, and its place in the ascending order of ids.
    const int t = int(threadIdx.x) / kMaxChosen, mine = int(threadIdx.x) % kMaxChosen;
    if (t >= n_mine || mine >= experts.n_chosen) return;
    const float *logit = logits + t * kMaxExperts, largest = logit[ranked[t][0]];
    float sum = 0;
    int place = 0;
    for (int r = 0; r < experts.n_chosen; r++) {
        sum += expf(logit[ranked[t][r]] - largest);
        place += ranked[t][r] < ranked[t][mine];
    }
    const int64_t slot = int64_t(first + t) * experts.n_chosen + place;
    expert[slot] = ranked[t][mine];
    weight[slot] = expf(logit[ranked[t][mine]] - largest) / sum;
}

using Kernel = void (*)(bf16*, bool, int*, float*, const float*, Norm, Experts, int);

template <bool kF32>
Kernel kernel_for(bool one, bool halves) {
    if (one) return router_kernel<1, 1, kF32>;
    if (halves) return router_kernel<kBlockTokens, 2, kF32>;
    return router_kernel<kBlockTokens, 1, kF32>;
}

}  // namespace

void router(RowsOut h, int* expert, float* weight, const float* x, const float* gain, const void* w_router,
            bool w_is_f32, const float* b_router, int n_tok, int hidden_dim, int n_experts, int experts_per_token,
            float eps, gpu::Stream stream) {
    GPU_REQUIRE(n_tok > 0 && hidden_dim > 0 && hidden_dim % 32 == 0 && hidden_dim <= 8192);
    GPU_REQUIRE(n_experts > 0 && n_experts <= kMaxExperts);
    GPU_REQUIRE(experts_per_token > 0 && experts_per_token <= kMaxChosen && experts_per_token <= n_experts);
    const int token_bytes = hidden_dim * int(sizeof(float));
    const bool one = n_tok <= tuning().router_spread_tokens || kBlockTokens * token_bytes > kMaxRowBytes;
    const bool halves = n_experts <= kThreads / device_wave();  // undivided, a wave would have only one expert
    const Kernel kernel = w_is_f32 ? kernel_for<true>(one, halves) : kernel_for<false>(one, halves);
    const int block_tokens = one ? 1 : kBlockTokens;
    const Norm norm = {gain, hidden_dim, eps};
    const Experts experts = {w_router, b_router, n_experts, experts_per_token};
    GPU_LAUNCH_CHAINED(kernel, dim3(unsigned((n_tok + block_tokens - 1) / block_tokens)), dim3(kThreads),
                       size_t(block_tokens) * token_bytes, stream, h.data, h.order == KOrder::kGrouped, expert, weight,
                       x, norm, experts, n_tok);
}
