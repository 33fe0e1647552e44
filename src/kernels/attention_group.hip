// attention_group.hip: attention for many tokens of one sequence, by wave groups (gpu/group_mma.h). A row's sums have
// the bits of attention.hip's: the same pages and spans, in the same order.
//
// A block has a tile of up to 128 queries and a KV head. One group of waves brings keys and values into a ring in LDS,
// a span a stage, as far ahead as the ring allows. Two groups have 64 queries each, in registers: while one computes a
// span's weights, the matrix cores have the other's products. A wave merges a span's sums while the next one's scores
// are multiplied.
#include "attention_unit.h"
#include "gpu/group_mma.h"
#include "gpu/lds_ring.h"
#include "gpu/wave.h"
#include "launch.h"
#include "tuning.h"

namespace {

constexpr int kHeadDim = 64;
constexpr int kWavesOfGroup = 4, kMultiplyingGroups = 2;
constexpr int kThreads = (kMultiplyingGroups + 1) * kWavesOfGroup * 32;
constexpr int kRowsOfQueries = kMultiplyingGroups * kWavesOfGroup * kTile;
static_assert(kGroupWaves == 0 || kGroupWaves == kWavesOfGroup);
// Registers of a lane: those that a block begins with are spread anew, in multiples of 8.
constexpr int kBegun = 168, kBringing = 72, kMultiplying = 216;
static_assert(kBringing + kMultiplyingGroups * kMultiplying <= (1 + kMultiplyingGroups) * kBegun,
              "who takes more than there is waits for ever");

// A stage is a span: (128 keys, 64 dims), then for each 64 of its positions (64 dims, 64 positions) of the values.
constexpr int kPairKeys = 2 * kPagePositions, kSpanPairs = kSpanPositions / kPairKeys;
static_assert(kPairKeys == 64 && kHeadDim == 64, "rows of 64 elements");
constexpr int kPairBytes = group_stage_bytes(64), kValuesAt = kSpanPairs * kPairBytes;
constexpr int kStageBytes = 2 * kValuesAt, kStages = 5;
constexpr int kLdsBytes = kStages * (kStageBytes + 2 * int(sizeof(LdsBarrier)));

struct Ring {
    char* stages;
    LdsBarrier *full, *empty;

    __device__ explicit Ring(char* lds) {
        stages = lds;
        full = reinterpret_cast<LdsBarrier*>(stages + kStages * kStageBytes);
        empty = full + kStages;
    }
};

// A wave of the group that brings has 32 rows of 64, keys of one page or dims of both pages' values, of each pair of
// pages: four packed tiles, half (8 rows) at a time. Of a lane's 8 elements pair w belongs into unit w of the four that
// a tile's row is (group_place), which is why they cannot be copied as they are. The next pair's come while this one's
// are stored. Pages that the queries do not see are others again: their weights are zeros, and what is multiplied by
// them must be finite.
template <bool kKeys>
struct Bringer {
    static constexpr int kHalves = 8, kHalfRuns = kTileRuns / 2;
    static constexpr int kFirstTile = kKeys ? 0 : kPagePositions / kTile * kHeadDim / kTileDepth;

    const AttentionProblem& p;
    const AttentionUnit& unit;
    const int part, lane;  // which 32 rows
    const Run* page[2];    // of tiles 0 and 1, and of 2 and 3
    Run runs[kHalves];

    __device__ Bringer(const AttentionProblem& problem, const AttentionUnit& of_unit, int which_rows, int of_wave)
        : p(problem), unit(of_unit), part(which_rows), lane(of_wave) {}

    __device__ const Run* of_page(int idx) const {
        const int n = min(max(idx, unit.first_key / kPagePositions), (unit.end_key - 1) / kPagePositions);
        const int at = unit.slot * p.kv.table_stride + (p.kv.ring_pages ? n % p.kv.ring_pages : n);
        const auto* const runs_of_page =
            reinterpret_cast<const Run*>(p.kv.base + int64_t(p.kv.table[at]) * p.kv.page_stride +
                                         int64_t(unit.kv_head) * 2 * kPagePositions * kHeadDim);
        return runs_of_page + (kFirstTile + (kKeys ? 0 : 2 * part)) * kTileRuns + lane;
    }
    __device__ void look_up(int pair) {
        page[0] = of_page(2 * pair + (kKeys ? part : 0));
        if (!kKeys) page[1] = of_page(2 * pair + 1);
    }
    __device__ void load(int half) {
        const int tile = half / 2;
        runs[half] = page[kKeys ? 0 : tile / 2][(kKeys ? tile : tile % 2) * kTileRuns + half % 2 * kHalfRuns];
    }

    __device__ void all_spans(const Ring& ring) {
        // Where this lane's pair w of the first half belongs: eight rows further on lies the same.
        char* place[4];
#pragma unroll
        for (int w = 0; w < 4; w++)
            place[w] = stage_unit(ring.stages + (kKeys ? 0 : kValuesAt), 32 * part + lane / 4, w) + 4 * (lane % 4);
        Turn<kStages> turn;
        const int first_pair = unit.first_span() * kSpanPairs, end_pair = unit.end_span() * kSpanPairs;
        look_up(first_pair);
#pragma unroll
        for (int half = 0; half < kHalves; half++) load(half);
        look_up(first_pair + 1);
        for (int pair = first_pair; pair < end_pair; pair++) {
            const int of_span = pair % kSpanPairs;
            if (of_span == 0) ring.empty[turn.stage].wait(turn.parity ^ 1);
#pragma unroll
            for (int half = 0; half < kHalves; half++) {
                const int tile = half / 2, row = kTile * (kKeys ? tile / 2 : tile % 2) + 8 * (half % 2);
                const bool second_units = (kKeys ? tile % 2 : tile / 2) != 0;
#pragma unroll
                for (int w = 0; w < 4; w++) {
                    // Units 4 to 7 of a row lie 64 bytes before or after units 0 to 3: rows 4 to 7 have them first.
                    char* const to = place[w] + (second_units ? (lane & 16 ? -64 : 64) : 0);
                    *reinterpret_cast<uint32_t*>(to + turn.stage * kStageBytes + of_span * kPairBytes + row * 128) =
                        runs[half].pair[w];
                }
                load(half);  // after the last pair in vain: cheaper than a branch
            }
            look_up(pair + 2);
            if (of_span + 1 < kSpanPairs) continue;
            see_stores();
            ring.full[turn.stage].arrive();
            turn.next();
        }
    }
};

// A lane's sums of its two rows: element (row r, dim group_pair(lane, i).row) of o is o[group_sum(i, r)].
template <int P>
struct RowSums {
    float m[2] = {kNothing, kNothing}, l[2] = {};
    float o[P / 2] = {};

    __device__ void merge(const RowSums& other) {
        Blend blend[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            blend[r] = Blend::of(m[r], other.m[r]);
            m[r] = blend[r].m;
            l[r] = blend[r](l[r], other.l[r]);
        }
        if (wave_ballot(!(blend[0].add > 0 && blend[1].add > 0)) == 0) {  // else some rows keep theirs
#pragma unroll
            for (int i = 0; i < P / 2; i++) {
                const Blend& of_row = blend[i / 2 % 2];
                o[i] = fmaf(o[i], of_row.keep, other.o[i] * of_row.add);
            }
            return;
        }
#pragma unroll
        for (int i = 0; i < P / 2; i++) o[i] = blend[i / 2 % 2](o[i], other.o[i]);
    }
};

// A wave's 16 rows of queries and its place in the ring.
template <int P>
struct Attending {
    const AttentionProblem& p;
    const AttentionUnit& unit;
    const Ring& ring;
    const StageRef first_stage;
    const int lane;
    WeightFrag q[P / kTileDepth];
    const int first_row;  // of the wave
    RowSums<P> total;
    GroupMma matrix;
    Turn<kStages> turn;

    __device__ Attending(const AttentionProblem& problem, const AttentionUnit& of_unit, const Ring& of_ring,
                         int row_of_wave, int of_wave)
        : p(problem), unit(of_unit), ring(of_ring), first_stage(of_ring.stages), lane(of_wave), first_row(row_of_wave) {
        Frag rows[P / kTileDepth];
#pragma unroll
        for (int r = 0; r < kRuns; r++) {
            const At at = frag_at(lane, r);
            const int row = min(first_row + at.row, unit.n_rows - 1);  // past the last it comes again, not stored
            const bf16* const from = p.q + (int64_t(unit.token(row)) * p.n_heads + unit.head(row)) * P + at.col;
#pragma unroll
            for (int t = 0; t < P / kTileDepth; t++)
                rows[t].run[r] = *reinterpret_cast<const Run*>(from + t * kTileDepth);
        }
#pragma unroll
        for (int t = 0; t < P / kTileDepth; t++) q[t] = weight_frag_of(rows[t]);
    }
    __device__ int own_row(int r) const {
        return group_pair(lane, 0).col + 8 * r;
    }

    __device__ void begin_scores(float (&scores)[kSpanPositions / 2], int stage) {
        matrix.begin();
#pragma unroll
        for (int k16 = 0; k16 < P / 16; k16++)
            matrix.template multiply<kSpanPositions>(scores, q[k16 / 2], k16 % 2,
                                                     first_stage.after(stage * kStageBytes), k16, k16 > 0);
        matrix.commit();
    }
    __device__ void begin_values(float (&o)[P / 2], const WeightFrag (&weights)[kSpanPages], int stage) {
        matrix.begin();
#pragma unroll
        for (int page = 0; page < kSpanPages; page++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int k16 = 2 * (page % 2) + half;
                const int at = stage * kStageBytes + kValuesAt + page / 2 * kPairBytes;
                matrix.template multiply<P>(o, weights[page], half, first_stage.after(at), k16, page + half > 0);
            }
        matrix.commit();
    }

    __device__ void hide_unseen(float (&scores)[kSpanPositions / 2], int span) {
        const int first = span * kSpanPositions;
        if (first >= unit.first_common && first + kSpanPositions <= unit.end_common) return;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int pos = p.pos[unit.token(min(first_row + own_row(r), unit.n_rows - 1))];
            const int first_key = AttentionUnit::first_seen(pos, p.kv.window);
#pragma unroll
            for (int i = 0; i < kSpanPositions / 4; i++) {
                const int key = first + group_pair(lane, i).row;
                if (key < first_key || key > pos) scores[group_sum(i, r)] = kNothing;
            }
        }
    }

    // As weigh_span(). What belongs to both rows is written side by side: each is a chain of operations that wait for
    // each other.
    __device__ void weigh(RowSums<P>& sums, WeightFrag (&weights)[kSpanPages], float (&scores)[kSpanPositions / 2]) {
        constexpr int kPairs = kSpanPositions / 4, kOfPage = kPagePositions / 4;  // pairs of results
        const float scale = kLog2e / sqrtf(float(P));
        float largest[2][kSpanPages];
#pragma unroll
        for (int i = 0; i < kPairs; i++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float& most = largest[r][i % kSpanPages];
                most = i < kSpanPages ? scores[group_sum(i, r)] : fmaxf(most, scores[group_sum(i, r)]);
            }
        float most[2];
#pragma unroll
        for (int r = 0; r < 2; r++)
            most[r] = fmaxf(fmaxf(largest[r][0], largest[r][1]), fmaxf(largest[r][2], largest[r][3]));
#pragma unroll
        for (int mask = 1; mask < 4; mask *= 2)  // as row_max
#pragma unroll
            for (int r = 0; r < 2; r++) most[r] = fmaxf(most[r], shfl_xor(most[r], mask));
#pragma unroll
        for (int r = 0; r < 2; r++) sums.m[r] = most[r] * scale;
        float part[kSpanPages][2] = {};
#pragma unroll
        for (int page = 0; page < kSpanPages; page++) {
#pragma unroll
            for (int i = 0; i < kOfPage; i++)
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float& score = scores[group_sum(page * kOfPage + i, r)];
                    score = exp2_flushed(fmaf(score, scale, -sums.m[r]));
                    part[page][r] += score;
                }
            weights[page] = group_weights(scores, page * kOfPage);
        }
#pragma unroll
        for (int r = 0; r < 2; r++) sums.l[r] = row_sum(((part[0][r] + part[1][r]) + part[2][r]) + part[3][r]);
    }

    __device__ void all_spans() {
        float scores[kSpanPositions / 2] = {};
        int stage = turn.stage;
        ring.full[stage].wait(turn.parity);
        begin_scores(scores, stage);
        matrix.template wait<0, kSpanPositions>(scores);
        const int end = unit.end_span();
        for (int span = unit.first_span(); span < end; span++) {
            RowSums<P> sums;
            WeightFrag weights[kSpanPages];
            hide_unseen(scores, span);
            weigh(sums, weights, scores);
            begin_values(sums.o, weights, stage);
            // After the last span its scores come again, and are not read: cheaper than a branch.
            const int done = stage;
            if (span + 1 < end) {
                turn.next();
                stage = turn.stage;
                ring.full[stage].wait(turn.parity);
            }
            begin_scores(scores, stage);
            matrix.template wait<1, P>(sums.o);
            total.merge(sums);
            matrix.template wait<0, kSpanPositions>(scores);
            if (lane == 0) ring.empty[done].arrive();
        }
    }

    __device__ void store() const {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int row = first_row + own_row(r);
            if (row >= unit.n_rows) continue;
            const int head = unit.head(row);
            const float scale = final_scale(total.m[r], total.l[r], p.sink(head));
            auto* const to = reinterpret_cast<uint32_t*>(p.att + int64_t(unit.token(row)) * p.n_heads * P);
#pragma unroll
            for (int i = 0; i < P / 4; i += 2)
                to[place_of(head * P + group_pair(lane, i).row, p.grouped) / 2] =
                    narrow_pair(total.o[group_sum(i, r)] * scale, total.o[group_sum(i + 1, r)] * scale);
        }
    }
};

template <int P>
__global__ __launch_bounds__(kThreads, 1) void attention_group_kernel(AttentionProblem p) {
    GPU_LDS(lds);
    if constexpr (kGroupWaves > 0) {
        let_next_begin();
        const Ring ring(lds);
        if (threadIdx.x == 0)
            for (int s = 0; s < kStages; s++) {
                ring.full[s].start(kWavesOfGroup * 32);
                ring.empty[s].start(kMultiplyingGroups * kWavesOfGroup);
            }
        block_sync();
        wait_for_previous();
        const AttentionUnit unit(p, int(blockIdx.x), P);
        const int group = wave_id() / kWavesOfGroup;
        if (group == kMultiplyingGroups) {
            give_registers<kBringing>();
            const int wave = wave_id() % kWavesOfGroup;
            if (wave < 2)
                Bringer<true>(p, unit, wave, lane_id()).all_spans(ring);
            else
                Bringer<false>(p, unit, wave - 2, lane_id()).all_spans(ring);
        } else {
            take_registers<kMultiplying>();
            Attending<P> attending(p, unit, ring, wave_id() * kTile, lane_id());
            attending.all_spans();
            attending.store();
        }
    }
}

// Where no device has groups there is no kernel either.
template <int P, bool kBuilt>
void launch(const AttentionProblem& p, gpu::Stream stream) {
    if constexpr (kBuilt) {
        const auto kernel = attention_group_kernel<P>;
        GPU_LAUNCH_CHAINED(kernel, dim3(unsigned(p.n_tiles * p.n_kv_heads)), dim3(kThreads), size_t(kLdsBytes), stream,
                           p);
    }
}

}  // namespace

int group_tile_tokens(int n_heads, int n_kv_heads, int head_dim) {
    return device_has_groups() && head_dim == kHeadDim ? kRowsOfQueries / (n_heads / n_kv_heads) : 0;
}

int least_group_tokens() {
    return tuning().attention_group_tokens;
}

void attention_of_groups(RowsOut att, const bf16* q, const KvLayer& kv, const float* sinks, const QueryTile* tiles,
                         int n_tiles, const Tokens& tokens, int n_heads, int n_kv_heads, gpu::Stream stream) {
    GPU_REQUIRE(n_tiles > 0 && group_tile_tokens(n_heads, n_kv_heads, kHeadDim) > 0);
    const AttentionProblem problem = {
        att.data,  att.order == KOrder::kGrouped, q, kv, sinks, tiles, n_tiles, tokens.pos, tokens.slot, n_heads,
        n_kv_heads};
    launch<kHeadDim, kBuiltForGroups>(problem, stream);
}
