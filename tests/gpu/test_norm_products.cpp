// test_norm_products.cpp: GPT-2's products, whose rows are normed first: against sums in double over the rows that
// layernorm() makes, and bit for bit between few and many tokens.
#include <gtest/gtest.h>

#include <cstring>

#include "kv_read.h"
#include "matrix_checks.h"

namespace {

constexpr float kEps = 1e-5f;

// Rows to norm, on the device.
struct Input {
    int n_tok, dim;
    Guarded<float> x, gain, bias;
    Guarded<bf16> h;  // where many rows go through

    Input(int tokens, int hidden_dim)
        : n_tok(tokens),
          dim(hidden_dim),
          x(random_f32(1, int64_t(tokens) * hidden_dim)),
          gain(random_f32(2, hidden_dim)),
          bias(random_f32(3, hidden_dim)),
          h(size_t(tokens) * size_t(round_up(hidden_dim, kDepthStep))) {}

    RowsToNorm rows() const { return {x.data(), norm(), h.data()}; }
    LayerNormParams norm() const { return {gain.data(), bias.data(), dim, kEps}; }
    // (T, Dp)
    std::vector<bf16> normed() const {
        const Guarded<bf16> out(h.size());
        layernorm(out.data(), x.data(), nullptr, norm(), n_tok, nullptr);
        return out.download("normed");
    }
};

struct Case {
    int n_tok, dim, n_heads, head_dim;
    const char* why;
};

constexpr Case kCases[] = {
    {1, 64, 1, 64, "one token, one head"},
    {1, 768, 12, 64, "124M"},
    {3, 96, 3, 32, "an odd multiple of 32"},
    {15, 128, 2, 64, "a tile but for one"},
    {16, 320, 5, 64, "a tile"},
    {17, 64, 2, 32, "rows go through memory"},
    {40, 256, 2, 128, "heads of 128, many-token kernel"},
    {100, 192, 3, 64, "wave groups"},
    {1, 1024, 16, 64, "355M"},
    {2, 1280, 20, 64, "774M"},
    {1, 1600, 25, 64, "1558M"},
};

void PrintTo(const Case& c, std::ostream* out) {
    *out << c.why;
}

class NormProducts : public testing::TestWithParam<Case> {};

TEST_P(NormProducts, GeluOfTheProduct) {
    const Case& c = GetParam();
    const int n_out = c.dim > 700 ? 96 : 4 * c.dim;  // of the wide ones some rows
    const Input in(c.n_tok, c.dim);
    const TestMatrix w(false, n_out, c.dim, 1, 11);
    const OnDevice device(w, SlabRows::kPlain, 0);
    const size_t stride = size_t(round_up(n_out, kDepthStep)), in_stride = size_t(round_up(c.dim, kDepthStep));
    const KOrder order = dense_order(c.n_tok);
    Guarded<bf16> act(std::vector<bf16>(size_t(c.n_tok) * stride, bf16{0}));
    norm_gelu({act.data(), order}, in.rows(), device.matrix, c.n_tok, nullptr);
    const std::vector<bf16> got = in_plain_order(act.download("act"), order), h = in.normed();
    for (int t = 0; t < c.n_tok; t++)
        for (int o = 0; o < n_out; o++) {
            const Sum sum = product(w, 0, o, &h[size_t(t) * in_stride]);
            const double u = sum.value;
            const double want = 0.5 * u * (1 + std::tanh(std::sqrt(2 / M_PI) * (u + 0.044715 * u * u * u)));
            // The slope of GELU is at most 1.13. Rounding to bf16; f32's few roundings.
            const double error = std::ldexp(std::fabs(want), -8) + 1.13 * bound(sum, c.dim) + 4e-6 * std::fabs(u);
            ASSERT_NEAR(to_f32(got[size_t(t) * stride + size_t(o)]), want, error) << "token " << t << ", row " << o;
        }
}

// Two sequences in turn, the second up to GPT-2's last position; the last token is padding.
struct Places {
    std::vector<int> pos, slot;
    explicit Places(int n_tok) {
        for (int t = 0; t < n_tok; t++) {
            slot.push_back(t % 2);
            pos.push_back(t % 2 ? 1023 - t / 2 : 50 + t / 2);
        }
        if (n_tok > 1) slot.back() = -1, pos.back() = 0;
    }
};

struct QkvRun {
    std::vector<bf16> q;             // (T, D)
    std::vector<bf16> keys, values;  // (2 sequences, G, 1024, P)
};

QkvRun run_qkv(const Input& in, const Places& places, const QkvWeights& w, int n_heads, int head_dim) {
    constexpr int kPages = 1024 / kPagePositions;
    std::vector<int> table;
    for (int i = 0; i < 2 * kPages; i++) table.push_back((5 * i + 3) % (2 * kPages));
    const Guarded<int> d_table(table), ids(places.pos), pos(places.pos), slot(places.slot);
    KvLayer kv;
    kv.page_stride = int64_t(n_heads) * 2 * kPagePositions * head_dim + 512;  // another layer's part between
    const Guarded<bf16> cache(size_t(2 * kPages * kv.page_stride));
    kv.base = cache.data();
    kv.table = d_table.data();
    kv.table_stride = kPages;
    const Guarded<bf16> q(size_t(in.n_tok) * size_t(in.dim));
    norm_qkv(q.data(), kv, in.rows(), w, {in.n_tok, ids.data(), pos.data(), slot.data()}, head_dim, nullptr);
    cache.download("cache");
    QkvRun run{q.download("q"), {}, {}};
    for (int s = 0; s < 2; s++)
        for (int g = 0; g < n_heads; g++) {
            const Guarded<bf16> keys(size_t(1024 * head_dim)), values(size_t(1024 * head_dim));
            kv_read(keys.data(), values.data(), kv, s, 1024, g, head_dim);
            const std::vector<bf16> k = keys.download("keys"), v = values.download("values");
            run.keys.insert(run.keys.end(), k.begin(), k.end());
            run.values.insert(run.values.end(), v.begin(), v.end());
        }
    return run;
}

TEST_P(NormProducts, QueriesKeysAndValuesWithoutRotation) {
    const Case& c = GetParam();
    const int P = c.head_dim, n_heads = c.dim > 700 ? 1 : c.n_heads, n_out = n_heads * P;
    const Input in(c.n_tok, c.dim);
    const Places places(c.n_tok);
    const TestMatrix w[3] = {{false, n_out, c.dim, 1, 21}, {false, n_out, c.dim, 1, 22}, {false, n_out, c.dim, 1, 23}};
    const OnDevice q(w[0], SlabRows::kPlain, 0), k(w[1], SlabRows::kPlain, 0), v(w[2], SlabRows::kPlain, 0);
    const QkvRun got = run_qkv(in, places, {q.matrix, k.matrix, v.matrix}, n_heads, P);
    const std::vector<bf16> h = in.normed();
    for (int t = 0; t < c.n_tok; t++) {
        const bf16* const row = &h[size_t(t) * size_t(round_up(c.dim, kDepthStep))];
        const int s = places.slot[size_t(t)];
        for (int o = 0; o < n_out; o++) {
            const auto expect = [&](const TestMatrix& of, bf16 found, const char* what) {
                const Sum want = product(of, 0, o, row);
                ASSERT_NEAR(to_f32(found), want.value, std::ldexp(std::fabs(want.value), -8) + bound(want, c.dim))
                    << what << " of token " << t << ", row " << o;
            };
            expect(w[0], got.q[size_t(t * n_out + o)], "q");
            if (s < 0) continue;
            const size_t at = size_t(((s * n_heads + o / P) * 1024 + places.pos[size_t(t)]) * P + o % P);
            expect(w[1], got.keys[at], "k");
            expect(w[2], got.values[at], "v");
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, NormProducts, testing::ValuesIn(kCases));

// Far from 0 GELU is 0 or its argument, whatever an exponential overflows to.
TEST(NormGelu, FarFromZero) {
    const Input in(1, 64);
    TestMatrix w(false, 32, 64, 1, 11);
    for (size_t o = 0; o < 32; o++) w.bias[o] = o % 2 ? 1e18f : -1e18f;
    const OnDevice device(w, SlabRows::kPlain, 0);
    Guarded<bf16> act(std::vector<bf16>(64, bf16{0}));
    norm_gelu(act.data(), in.rows(), device.matrix, 1, nullptr);
    const std::vector<bf16> got = act.download("act");
    for (size_t o = 0; o < 32; o++) EXPECT_EQ(to_f32(got[o]), o % 2 ? to_f32(to_bf16(1e18f)) : 0.0f) << o;
}

// A token's bits are the same alone, among few, whose rows blocks norm, and among many, whose rows go through memory.
TEST(NormProductBits, DoNotDependOnTheNumberOfTokens) {
    constexpr int kDim = 704, kHeads = 2, kHeadDim = 32, kOut = kHeads * kHeadDim, kMost = 200;
    const TestMatrix w(false, kOut, kDim, 1, 31);
    const OnDevice device(w, SlabRows::kPlain, 0);
    std::vector<bf16> act_of_most, q_of_most;
    for (const int n_tok : {kMost, 1, 5, 16, 17, 33, 96, 129}) {
        const Input in(n_tok, kDim);
        Guarded<bf16> act(std::vector<bf16>(size_t(n_tok * kOut), bf16{0}));
        norm_gelu({act.data(), dense_order(n_tok)}, in.rows(), device.matrix, n_tok, nullptr);
        const std::vector<bf16> got = in_plain_order(act.download("act"), dense_order(n_tok));
        const Guarded<bf16> q(size_t(n_tok * kOut)), cache(2 * 64 * 2 * kPagePositions * kOut);
        const Guarded<int> pos(std::vector<int>(size_t(n_tok), 0)), slot(std::vector<int>(size_t(n_tok), -1)),
            table({0});
        KvLayer kv;
        kv.base = cache.data();
        kv.table = table.data();
        kv.table_stride = 1;
        norm_qkv(q.data(), kv, in.rows(), {device.matrix, device.matrix, device.matrix},
                 {n_tok, pos.data(), pos.data(), slot.data()}, kHeadDim, nullptr);
        const std::vector<bf16> got_q = q.download("q");
        if (act_of_most.empty()) act_of_most = got, q_of_most = got_q;
        const auto expect_same = [&](const std::vector<bf16>& a, const std::vector<bf16>& b, const char* what) {
            EXPECT_EQ(0, std::memcmp(a.data(), b.data(), a.size() * sizeof(bf16)))
                << what << ", " << n_tok << " tokens";
        };
        expect_same(got, act_of_most, "act");
        expect_same(got_q, q_of_most, "q");
    }
}

}  // namespace
