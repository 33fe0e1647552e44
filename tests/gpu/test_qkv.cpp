// test_qkv.cpp: q, k and v with their rotation, against sums in double, and where they land in the cache.
#include <gtest/gtest.h>

#include <cstring>

#include "kv_read.h"
#include "matrix_checks.h"

namespace {

struct Case {
    int n_tok, hidden, n_heads, n_kv_heads, head_dim, ring_pages;
    const char* why;
};

constexpr int kMaxPosition = 250;

// cos and sin of some angle a pair and position: any rotation must be applied as it stands in the table.
std::vector<float> turns(int head_dim) {
    std::vector<float> table;
    for (int p = 0; p < kMaxPosition; p++)
        for (int i = 0; i < head_dim / 2; i++) {
            table.push_back(float(std::cos(0.1 * p + i)));
            table.push_back(float(std::sin(0.1 * p + i)));
        }
    return table;
}

// What comes out of hidden states `h` (T, hidden) at positions `pos` (T).
struct Expected {
    int hidden, head_dim;
    const std::vector<bf16>& h;
    const std::vector<float>& table;
    const std::vector<int>& pos;

    // Rounding to bf16 once; the sums' own bound; the rotation's three roundings.
    void check(bf16 got, const Sum& a, const Sum& b, float cos, float sin, const std::string& where) const {
        const double want = a.value * cos + b.value * sin;
        const double error = std::ldexp(std::fabs(want), -8) + bound(a, hidden) + bound(b, hidden) +
                             std::ldexp(std::fabs(a.value) + std::fabs(b.value), -22);
        ASSERT_NEAR(to_f32(got), want, error) << where;
    }
    void plain(const TestMatrix& w, int t, int row, bf16 got, const std::string& where) const {
        check(got, product(w, 0, row, &h[size_t(t) * size_t(hidden)]), {0, 0}, 1, 0, where);
    }
    void rotated(const TestMatrix& w, int t, int row, bf16 got, const std::string& where) const {
        const int half = head_dim / 2, i = row % head_dim % half, low = row - row % head_dim + i;
        const bf16* x = &h[size_t(t) * size_t(hidden)];
        const float* turn = &table[size_t((pos[size_t(t)] * half + i) * 2)];
        const Sum a = product(w, 0, low, x), b = product(w, 0, low + half, x);
        if (row % head_dim < half)
            check(got, a, b, turn[0], -turn[1], where);
        else
            check(got, b, a, turn[0], turn[1], where);
    }
};

class Qkv : public testing::TestWithParam<Case> {};

TEST_P(Qkv, RotatesAndStores) {
    const Case& c = GetParam();
    const int P = c.head_dim;
    const TestMatrix w_q(false, c.n_heads * P, c.hidden, 1, 1), w_k(false, c.n_kv_heads * P, c.hidden, 1, 2);
    const TestMatrix w_v(false, c.n_kv_heads * P, c.hidden, 1, 3);
    const OnDevice d_q(w_q, SlabRows::kRotated, P), d_k(w_k, SlabRows::kRotated, P), d_v(w_v, SlabRows::kPlain, P);
    const std::vector<bf16> h = random_bf16(4, int64_t(c.n_tok) * c.hidden, 0.25f);
    Guarded<bf16> dh(in_order(padded_rows(h, c.hidden), dense_order(c.n_tok))),
        q(size_t(c.n_tok) * size_t(c.n_heads * P));
    const std::vector<float> table = turns(P);
    Guarded<float> d_table(table);

    // Two sequences in turn, from positions 50 and 80 on; the last token is padding.
    std::vector<int> ids(static_cast<size_t>(c.n_tok)), pos(ids), slot(ids);
    for (int t = 0; t < c.n_tok; t++) {
        slot[size_t(t)] = t % 2;
        pos[size_t(t)] = t / 2 + (t % 2 ? 80 : 50);
    }
    if (c.n_tok > 1) slot.back() = -1, pos.back() = 0;
    Guarded<int> d_ids(ids), d_pos(pos), d_slot(slot);

    const int pages = c.ring_pages ? c.ring_pages : (kMaxPosition + 31) / 32;
    std::vector<int> page_table;
    for (int i = 0; i < 2 * pages; i++) page_table.push_back((5 * i + 3) % (2 * pages + (2 * pages % 5 == 0)));
    Guarded<int> d_pages(page_table);
    KvLayer kv;
    kv.page_stride = int64_t(c.n_kv_heads) * 2 * kPagePositions * P + 512;  // another layer's part between
    Guarded<bf16> cache(size_t((2 * pages + 1) * kv.page_stride));
    kv.base = cache.data();
    kv.table = d_pages.data();
    kv.table_stride = pages;
    kv.ring_pages = c.ring_pages;

    qkv(q.data(), kv, dh.data(), {d_q.matrix, d_k.matrix, d_v.matrix}, d_table.data(),
        {c.n_tok, d_ids.data(), d_pos.data(), d_slot.data()}, P, nullptr);

    const Expected expected{c.hidden, P, h, table, pos};
    const std::vector<bf16> got_q = q.download("q");
    for (int t = 0; t < c.n_tok; t++)
        for (int row = 0; row < c.n_heads * P; row++)
            expected.rotated(w_q, t, row, got_q[size_t(t) * size_t(c.n_heads * P) + size_t(row)],
                             "q of token " + std::to_string(t) + ", row " + std::to_string(row));

    cache.download("cache");
    for (int s = 0; s < 2; s++)
        for (int g = 0; g < c.n_kv_heads; g++) {
            Guarded<bf16> keys(size_t(kMaxPosition * P)), values(size_t(kMaxPosition * P));
            kv_read(keys.data(), values.data(), kv, s, kMaxPosition, g, P);
            const std::vector<bf16> k = keys.download("keys"), v = values.download("values");
            for (int t = 0; t < c.n_tok; t++)
                for (int d = 0; slot[size_t(t)] == s && d < P; d++) {
                    const size_t at = size_t(pos[size_t(t)] * P + d);
                    const std::string where =
                        "token " + std::to_string(t) + ", KV head " + std::to_string(g) + ", dim " + std::to_string(d);
                    expected.rotated(w_k, t, g * P + d, k[at], "k of " + where);
                    expected.plain(w_v, t, g * P + d, v[at], "v of " + where);
                }
        }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Qkv,
                         testing::Values(Case{1, 64, 2, 1, 32, 0, "one token, heads of 32"},
                                         Case{5, 96, 4, 2, 64, 0, "an odd multiple of 32"},
                                         Case{20, 64, 3, 1, 64, 0, "two tiles of tokens, three query heads"},
                                         Case{40, 64, 2, 2, 64, 0, "many-token kernel"},
                                         Case{60, 64, 4, 2, 32, 2, "a ring of two pages, used again"},
                                         Case{230, 64, 1, 1, 32, 0, "blocks of 64 rows"},
                                         Case{300, 96, 3, 1, 64, 0, "blocks of more rows, half a step"},
                                         Case{3, 320, 1, 1, 128, 0, "heads of 128, spans"}));

TEST(QkvValues, AnOverflowSpoilsNoOtherDim) {
    constexpr int kHidden = 64, kHeadDim = 32;
    TestMatrix w_v(false, kHeadDim, kHidden, 1, 3);
    w_v.values[3 * kHidden] = to_bf16(3e38f);  // of dim 3, which is computed beside dim 19
    const TestMatrix w_q(false, kHeadDim, kHidden, 1, 1), w_k(false, kHeadDim, kHidden, 1, 2);
    const OnDevice d_q(w_q, SlabRows::kRotated, kHeadDim), d_k(w_k, SlabRows::kRotated, kHeadDim);
    const OnDevice d_v(w_v, SlabRows::kPlain, kHeadDim);
    Guarded<float> turns(std::vector<float>(kHeadDim, 1));
    for (const int n_tok : {1, 100, 200}) {
        const std::vector<bf16> rows(size_t(n_tok * kHidden), to_bf16(2));
        Guarded<bf16> h(in_order(rows, dense_order(n_tok))), q(size_t(n_tok * kHeadDim));
        Guarded<bf16> cache(size_t(2 * kPagePositions * kHeadDim)), keys(size_t{kHeadDim}), values(size_t{kHeadDim});
        Guarded<int> zeros(std::vector<int>(size_t(n_tok), 0)), page(std::vector<int>{0});
        KvLayer kv;
        kv.base = cache.data();
        kv.page_stride = 2 * kPagePositions * kHeadDim;
        kv.table = page.data();
        kv.table_stride = 1;
        qkv(q.data(), kv, h.data(), {d_q.matrix, d_k.matrix, d_v.matrix}, turns.data(),
            {n_tok, zeros.data(), zeros.data(), zeros.data()}, kHeadDim, nullptr);
        kv_read(keys.data(), values.data(), kv, 0, 1, 0, kHeadDim);
        const std::vector<bf16> got = values.download("values");
        for (int d = 0; d < kHeadDim; d++)
            EXPECT_EQ(std::isfinite(to_f32(got[size_t(d)])), d != 3) << n_tok << ", " << d;
    }
}

// A token's query and key are the same bits alone, among few, among many: also where a product and a sum could be fused
// in one kernel and not in another.
TEST(QkvBits, DoNotDependOnTheNumberOfTokens) {
    constexpr int kHidden = 704, kHeadDim = 64, kMost = 300, kPages = (kMost + kPagePositions - 1) / kPagePositions;
    const TestMatrix w_q(false, 3 * kHeadDim, kHidden, 1, 1), w_k(false, kHeadDim, kHidden, 1, 2);
    const TestMatrix w_v(false, kHeadDim, kHidden, 1, 3);
    const OnDevice d_q(w_q, SlabRows::kRotated, kHeadDim), d_k(w_k, SlabRows::kRotated, kHeadDim);
    const OnDevice d_v(w_v, SlabRows::kPlain, kHeadDim);
    const std::vector<bf16> rows = random_bf16(4, int64_t(kMost) * kHidden);
    std::vector<float> angles;
    for (int i = 0; i < kMost * kHeadDim / 2; i++)
        angles.insert(angles.end(), {std::cos(0.1f * i), std::sin(0.1f * i)});
    std::vector<int> zeros(kMost), ascending(kMost), pages(kPages);
    for (int i = 0; i < kMost; i++) ascending[size_t(i)] = i;
    for (int i = 0; i < kPages; i++) pages[size_t(i)] = i;
    Guarded<float> d_angles(angles);
    Guarded<int> d_zeros(zeros), d_pos(ascending), d_pages(pages);

    std::vector<bf16> first_q, first_keys;
    for (const int n_tok : {kMost, 1, 20, 50, 200}) {
        Guarded<bf16> h(in_order(rows, dense_order(n_tok)));
        Guarded<bf16> q(size_t(n_tok * 3 * kHeadDim)), cache(size_t(kPages * 2 * kPagePositions * kHeadDim));
        KvLayer kv;
        kv.base = cache.data();
        kv.page_stride = 2 * kPagePositions * kHeadDim;
        kv.table = d_pages.data();
        kv.table_stride = kPages;
        qkv(q.data(), kv, h.data(), {d_q.matrix, d_k.matrix, d_v.matrix}, d_angles.data(),
            {n_tok, d_zeros.data(), d_pos.data(), d_zeros.data()}, kHeadDim, nullptr);
        Guarded<bf16> keys(size_t(n_tok * kHeadDim)), values(size_t(n_tok * kHeadDim));
        kv_read(keys.data(), values.data(), kv, 0, n_tok, 0, kHeadDim);
        const std::vector<bf16> got_q = q.download("q"), got_keys = keys.download("keys");
        if (first_q.empty()) first_q = got_q, first_keys = got_keys;
        EXPECT_EQ(0, std::memcmp(got_q.data(), first_q.data(), got_q.size() * sizeof(bf16))) << n_tok << " tokens";
        EXPECT_EQ(0, std::memcmp(got_keys.data(), first_keys.data(), got_keys.size() * sizeof(bf16)))
            << n_tok << " tokens";
    }
}

}  // namespace
