// attention_queries.h: a wave's queries, and where the keys and values that they meet stand.
#pragma once
#include "attention_sums.h"
#include "attention_unit.h"

template <int P>
constexpr int kKeyTiles = kPagePositions / kTile* P / kTileDepth;
template <int P>
constexpr int kMostTiles = kKeyTiles<P> > kValueTiles<P> ? kKeyTiles<P> : kValueTiles<P>;
// Whether a lane's registers have room for keys or values of two pages, so that what is needed next but one is on its
// way; else each tile is loaded where it is multiplied.
template <int P>
constexpr bool kAhead = kMostTiles<P>* kRuns <= 8 && kRuns <= 2;

// A wave's queries: what it keeps in registers, if kKept; else each span reads them again.
template <int P, bool kKept>
struct Queries {
    static constexpr int kDepthTiles = P / kTileDepth;
    const AttentionProblem& p;
    const AttentionUnit& unit;
    const int lane;
    const bf16* const q;
    Frag kept[kKept ? kDepthTiles : 1];
    int pos[kAccRows];  // of a lane's rows

    __device__ Queries(const AttentionProblem& problem, const AttentionUnit& of_unit, int of_wave)
        : p(problem), unit(of_unit), lane(of_wave), q(problem.q) {
#pragma unroll
        for (int r = 0; r < kAccRows; r++) pos[r] = p.pos[unit.token(clamped(own_row(lane, r)))];
#pragma unroll
        for (int t = 0; kKept && t < kDepthTiles; t++) kept[t] = read(t);
    }
    // Rows past the last repeat it; nobody stores them.
    __device__ int clamped(int row) const {
        return row < unit.n_rows ? row : unit.n_rows - 1;
    }

    __device__ Frag read(int t) const {
        Frag rows;
#pragma unroll
        for (int r = 0; r < kRuns; r++) {
            const At at = frag_at(lane, r);
            const int row = clamped(at.row);
            const bf16* const from = q + (int64_t(unit.token(row)) * p.n_heads + unit.head(row)) * P + at.col;
            rows.run[r] = *reinterpret_cast<const Run*>(from + t * kTileDepth);
        }
        return rows;
    }
    __device__ Frag tile(int t) const {
        return kKept ? kept[kKept ? t : 0] : read(t);
    }
    __device__ bool sees(int r, int key) const {
        return key <= pos[r] && key >= AttentionUnit::first_seen(pos[r], p.kv.window);
    }
    // Makes scores of a page's keys kNothing where a row does not see.
    __device__ void hide_unseen(Acc (&scores)[2], int page) const {
        const int page_key = page * kPagePositions;
        if (page_key >= unit.first_common && page_key + kPagePositions <= unit.end_common) return;
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int v = 0; v < kAcc; v++) {
                const int key = page_key + n * kTile + acc_at(lane, v).col;
                if (!sees(acc_row(v), key)) scores[n].v[v] = kNothing;
            }
    }
};

// The keys, then the values, of a KV head in a page of a sequence.
template <int P>
__device__ inline const Run* page_tiles(const AttentionProblem& p, const AttentionUnit& unit, int page) {
    const int of_ring = p.kv.ring_pages ? page % p.kv.ring_pages : page;
    const int in_pool = p.kv.table[int64_t(unit.slot) * p.kv.table_stride + of_ring];
    return reinterpret_cast<const Run*>(p.kv.base + int64_t(in_pool) * p.kv.page_stride +
                                        int64_t(unit.kv_head) * 2 * kPagePositions * P);
}
