// test_gemm.cpp: packed matrix products against sums in double, at the shapes where they could break, and bit for bit
// between the kernels for few and for many tokens.
#include <gtest/gtest.h>

#include <cstring>

#include "matrix_checks.h"

namespace {

struct ResidualCase {
    int n_tok, n_out, n_in;
    bool transposed;
    const char* why;
};

class GemmResidual : public testing::TestWithParam<ResidualCase> {};

TEST_P(GemmResidual, AddsTheProductAndBias) {
    const ResidualCase& c = GetParam();
    const TestMatrix w(false, c.n_out, c.n_in, 1, 11);
    const std::vector<bf16> x = random_bf16(12, int64_t(c.n_tok) * c.n_in);
    const std::vector<float> before = random_f32(13, int64_t(c.n_tok) * c.n_out);
    const OnDevice device(w, SlabRows::kPlain, 0, c.transposed);
    Guarded<bf16> dx(in_order(padded_rows(x, c.n_in), dense_order(c.n_tok)));
    Guarded<float> y(before);
    gemm_residual(y.data(), dx.data(), device.matrix, c.n_tok, nullptr);
    const std::vector<float> got = y.download("y");
    for (int t = 0; t < c.n_tok; t++)
        for (int o = 0; o < c.n_out; o++) {
            const size_t at = size_t(t) * size_t(c.n_out) + size_t(o);
            Sum want = product(w, 0, o, &x[size_t(t) * size_t(c.n_in)]);
            want.value += before[at];
            want.magnitude += std::fabs(before[at]);
            ASSERT_NEAR(got[at], want.value, bound(want, c.n_in)) << "token " << t << ", row " << o;
        }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmResidual,
                         testing::Values(ResidualCase{1, 32, 64, false, "one slab, one step"},
                                         ResidualCase{1, 16, 32, false, "half a slab, half a step"},
                                         ResidualCase{15, 48, 96, false, "last row missing, last slab half"},
                                         ResidualCase{16, 64, 128, false, "full tile"},
                                         ResidualCase{17, 32, 576, false, "second tile holds one row; all spans"},
                                         ResidualCase{32, 32, 64, false, "two full tiles"},
                                         ResidualCase{33, 160, 192, false, "many-token kernel, second group of slabs"},
                                         ResidualCase{65, 32, 640, false, "two blocks of rows, spans of two steps"},
                                         ResidualCase{257, 32, 64, false, "blocks of 128 rows, the last holds one"},
                                         ResidualCase{289, 224, 192, false, "wave groups, a block with three slabs"},
                                         ResidualCase{400, 32, 2880, false,
                                                      "wave groups, tiles of 160, the last smaller"},
                                         ResidualCase{3, 64, 160, true, "stored as (n_in, n_out)"},
                                         ResidualCase{2, 32, 2880, false, "gpt-oss depth"}));

// A token's bits are the same alone, among few, among many.
TEST(GemmResidualBits, DoNotDependOnTheNumberOfTokens) {
    const int n_out = 96, n_in = 704, n_most = 260;
    const TestMatrix w(false, n_out, n_in, 1, 21);
    const std::vector<bf16> x = random_bf16(22, int64_t(n_most) * n_in);
    const OnDevice device(w, SlabRows::kPlain, 0);
    std::vector<float> first;
    for (const int n_tok : {n_most, 1, 5, 16, 20, 32, 40, 95, 96, 100, 129, 192, 193}) {
        Guarded<bf16> dx(in_order(padded_rows(x, n_in), dense_order(n_tok)));
        Guarded<float> y(std::vector<float>(size_t(n_tok) * size_t(n_out), 0.0f));
        gemm_residual(y.data(), dx.data(), device.matrix, n_tok, nullptr);
        const std::vector<float> got = y.download("y");
        if (first.empty()) first = got;
        EXPECT_EQ(0, std::memcmp(got.data(), first.data(), got.size() * sizeof(float))) << n_tok << " tokens";
    }
}

TEST(GemmLogits, VocabularyThatIsNoMultipleOfASlab) {
    const TestMatrix w(false, 77, 64, 1, 31);
    const std::vector<bf16> x = random_bf16(32, 3 * 64);
    OnDevice device(w, SlabRows::kPlain, 0);
    Guarded<bf16> dx(x);
    Guarded<float> y(size_t(3 * 77));
    gemm_logits(y.data(), dx.data(), device.matrix, 3, nullptr);
    const std::vector<float> got = y.download("logits");
    for (int t = 0; t < 3; t++)
        for (int o = 0; o < 77; o++) {
            Sum want = product(w, 0, o, &x[size_t(t) * 64]);
            want.value -= w.bias[size_t(o)];  // logits have none
            ASSERT_NEAR(got[size_t(t * 77 + o)], want.value, bound(want, 64)) << t << ", " << o;
        }
}

// ---- experts ----

struct ExpertCase {
    bool mxfp4;
    int n_tok, hidden, intermediate, tile_rows;
    const char* why;
};

// A fixed choice of experts: token t takes t % E and two more.
constexpr int kExperts = 5, kPerToken = 3;

std::vector<int> chosen_experts(int n_tok) {
    std::vector<int> expert;
    for (int t = 0; t < n_tok; t++) {
        std::vector<int> mine{t % kExperts, (t * t + 1 + t % kExperts) % kExperts, 0};
        if (mine[1] == mine[0]) mine[1] = (mine[0] + 1) % kExperts;
        while (mine[2] == mine[0] || mine[2] == mine[1]) mine[2]++;
        std::sort(mine.begin(), mine.end());
        expert.insert(expert.end(), mine.begin(), mine.end());
    }
    return expert;
}

size_t most_tiles(const std::vector<int>& chosen, int tile_rows) {
    return size_t(max_expert_tiles(int(chosen.size()), kExperts, tile_rows));
}

struct Sorted {
    Guarded<int> expert, n_tiles, tile_expert, first, n_rows, slot;
    ExpertTiles tiles;
    Sorted(const std::vector<int>& chosen, int tile_rows)
        : expert(chosen),
          n_tiles(1),
          tile_expert(most_tiles(chosen, tile_rows)),
          first(most_tiles(chosen, tile_rows)),
          n_rows(most_tiles(chosen, tile_rows)),
          slot(chosen.size()) {
        tiles = {n_tiles.data(), tile_expert.data(), first.data(), n_rows.data(), slot.data()};
        moe_sort(tiles, expert.data(), int(chosen.size()), kExperts, tile_rows, nullptr);
    }
};

// All that this device has kernels for.
std::vector<int> tile_sizes() {
    if (gpu::device_info(0).wave_groups) return {16, 32, 64, 96, 128, kGroupRows};
    return {16, 32, 64, 128};
}

class GemmExperts : public testing::TestWithParam<ExpertCase> {};

TEST_P(GemmExperts, UpThenDown) {
    ExpertCase c = GetParam();
    if (c.tile_rows == kGroupRows && !gpu::device_info(0).wave_groups) c.tile_rows = 128;
    const float limit = 1.5f, alpha = 1.702f;
    const TestMatrix up(c.mxfp4, 2 * c.intermediate, c.hidden, kExperts, 41);
    const TestMatrix down(c.mxfp4, c.hidden, c.intermediate, kExperts, 51);
    const std::vector<bf16> h = random_bf16(42, int64_t(c.n_tok) * c.hidden, 0.25f);
    const std::vector<int> chosen = chosen_experts(c.n_tok);
    Sorted sorted(chosen, c.tile_rows);
    const OnDevice d_up(up, SlabRows::kGated, 0), d_down(down, SlabRows::kPlain, 0);
    Guarded<bf16> dh(in_order(padded_rows(h, c.hidden), expert_order(c.tile_rows)));
    const size_t stride = size_t(round_up(c.intermediate, kDepthStep)), n_slots = chosen.size();
    Guarded<bf16> act(std::vector<bf16>(n_slots * stride, bf16{0}));
    moe_up(act.data(), dh.data(), d_up.matrix, sorted.tiles, int(n_slots), c.tile_rows, kPerToken, limit, alpha,
           nullptr);
    Guarded<float> out(n_slots * size_t(c.hidden));
    moe_down(out.data(), act.data(), d_down.matrix, sorted.tiles, int(n_slots), c.tile_rows, nullptr);

    const std::vector<bf16> got_act = in_plain_order(act.download("act"), expert_order(c.tile_rows));
    const std::vector<float> got = out.download("down");
    const std::vector<int> slot = sorted.slot.download("slot");
    for (size_t i = 0; i < n_slots; i++) {
        const int e = chosen[size_t(slot[i])], t = slot[i] / kPerToken;
        for (int f = 0; f < c.intermediate; f++) {
            const bf16* x = &h[size_t(t) * size_t(c.hidden)];
            const Sum gate_sum = product(up, e, 2 * f, x), linear_sum = product(up, e, 2 * f + 1, x);
            const double gate = std::min(gate_sum.value, double(limit));
            const double linear = std::max(-double(limit), std::min(linear_sum.value, double(limit)));
            const double want = gate / (1 + std::exp(-alpha * gate)) * (linear + 1);
            // Rounding to bf16, and what errors of the two sums become: |d swiglu / d gate| ≤ 1.2 (|linear| + 1).
            const double error =
                std::ldexp(std::fabs(want), -8) + 3 * (bound(gate_sum, c.hidden) + bound(linear_sum, c.hidden)) + 1e-5;
            ASSERT_NEAR(to_f32(got_act[i * stride + size_t(f)]), want, error) << "slot " << slot[i] << ", f " << f;
        }
        for (int o = 0; o < c.hidden; o++) {
            const Sum want = product(down, e, o, &got_act[i * stride]);
            ASSERT_NEAR(got[size_t(slot[i]) * size_t(c.hidden) + size_t(o)], want.value, bound(want, c.intermediate))
                << "slot " << slot[i] << ", row " << o;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmExperts,
                         testing::Values(ExpertCase{true, 1, 64, 64, 16, "one token"},
                                         ExpertCase{true, 9, 96, 32, 16, "odd multiples of 32"},
                                         ExpertCase{true, 40, 64, 160, 32, "tiles of 32, several an expert"},
                                         ExpertCase{true, 70, 320, 64, 64, "many-token kernel, spans"},
                                         ExpertCase{true, 150, 64, 96, 128, "tiles of 128 rows"},
                                         ExpertCase{true, 170, 64, 96, kGroupRows, "wave groups, last tile not full"},
                                         ExpertCase{true, 400, 64, 32, kGroupRows, "wave groups, tiles of all sizes"},
                                         ExpertCase{true, 70, 704, 160, 64, "small wave groups"},
                                         ExpertCase{false, 70, 320, 96, 64, "small wave groups, bf16 experts"},
                                         ExpertCase{true, 100, 704, 32, kGroupRows, "wave groups, spans; half a step"},
                                         ExpertCase{false, 110, 320, 96, kGroupRows, "wave groups, bf16 experts"},
                                         ExpertCase{false, 9, 96, 32, 16, "bf16 experts"},
                                         ExpertCase{false, 70, 64, 96, 64, "bf16 experts, many tokens"}));

TEST(GemmExpertsBits, DoNotDependOnTheTileSize) {
    const int n_tok = 90, hidden = 320, intermediate = 288;
    for (const bool mxfp4 : {true, false}) {
        const TestMatrix up(mxfp4, 2 * intermediate, hidden, kExperts, 61),
            down(mxfp4, hidden, intermediate, kExperts, 71);
        const std::vector<bf16> h = random_bf16(62, int64_t(n_tok) * hidden, 0.25f);
        const std::vector<int> chosen = chosen_experts(n_tok);
        const OnDevice d_up(up, SlabRows::kGated, 0), d_down(down, SlabRows::kPlain, 0);
        std::vector<float> first;
        for (const int tile_rows : tile_sizes()) {
            Guarded<bf16> dh(in_order(padded_rows(h, hidden), expert_order(tile_rows)));
            Sorted sorted(chosen, tile_rows);
            Guarded<bf16> act(std::vector<bf16>(chosen.size() * size_t(round_up(intermediate, kDepthStep)), bf16{0}));
            Guarded<float> out(chosen.size() * size_t(hidden));
            moe_up(act.data(), dh.data(), d_up.matrix, sorted.tiles, int(chosen.size()), tile_rows, kPerToken, 7,
                   1.702f, nullptr);
            moe_down(out.data(), act.data(), d_down.matrix, sorted.tiles, int(chosen.size()), tile_rows, nullptr);
            const std::vector<float> got = out.download("down");
            if (first.empty()) first = got;
            EXPECT_EQ(0, std::memcmp(got.data(), first.data(), got.size() * sizeof(float))) << tile_rows;
        }
    }
}

// Every code in every place under every kind of scale: those at which weights become too small for a normal bf16, which
// are packed as zeros; ordinary ones, odd and even; the largest that stays packed; and those that do not, up to the
// largest at which 6 is still finite.
TEST(Mxfp4, EveryCodeAndScale) {
    const float kCode[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    for (const int scale : {0, 1, 2, 3, 60, 126, 127, 128, 129, 130, 200, 251}) {
        TestMatrix w(true, 32, 64, 1, 81);
        w.stays_packed = scale <= kLargestPackedScale;
        std::fill(w.scales.begin(), w.scales.end(), uint8_t(scale));
        const auto code_at = [](int row, int k) { return (k + row) % 16; };
        for (int row = 0; row < 32; row++)
            for (int k = 0; k < 64; k += 2)
                w.codes[size_t(row * 64 + k) / 2] = uint8_t(code_at(row, k) | code_at(row, k + 1) << 4);
        w.bias.assign(w.bias.size(), 0.0f);
        const OnDevice device(w, SlabRows::kPlain, 0);
        // moe_down of one expert with act = one-hot rows gives the matrix back.
        const int n_slots = 16;
        std::vector<bf16> one_hot(size_t(n_slots) * 64, bf16{0});
        for (int k = 0; k < n_slots; k++) one_hot[size_t(k) * 64 + size_t(3 * k)] = to_bf16(1);
        Guarded<bf16> act(one_hot);
        const std::vector<int> ids{1}, zero{0}, n_rows{n_slots};
        std::vector<int> slots(static_cast<size_t>(n_slots));
        for (int k = 0; k < n_slots; k++) slots[size_t(k)] = k;
        Guarded<int> n_tiles(ids), expert(zero), first(zero), rows(n_rows), slot(slots);
        Guarded<float> out(size_t(n_slots) * 32);
        moe_down(out.data(), act.data(), device.matrix,
                 {n_tiles.data(), expert.data(), first.data(), rows.data(), slot.data()}, n_slots, 16, nullptr);
        const std::vector<float> got = out.download("w");
        for (int k = 0; k < n_slots; k++)
            for (int row = 0; row < 32; row++) {
                const int code = code_at(row, 3 * k);
                const float exact = std::ldexp(kCode[code & 7], scale - 127), magnitude = exact < 0x1p-126f ? 0 : exact;
                ASSERT_EQ(got[size_t(k) * 32 + size_t(row)], code & 8 ? -magnitude : magnitude)
                    << "scale " << scale << ", code " << code << ", k " << 3 * k;
            }
    }
}

}  // namespace
