// test_checkpoint_snapshot.cpp: the random snapshots that all other tests stand on: the same numbers as numpy makes.
#include <gtest/gtest.h>

#include "support/checkpoint_checks.h"
#include "support/json.h"
#include "support/numpy_random.h"
#include "support/random_snapshot.h"
#include "support/safetensors_parts.h"

namespace {

// What numpy 1.24 gives: PCG64(SeedSequence([seed, *name.encode()])).random_raw(5), the first and the last.
TEST(Snapshot, RawNumbersAreNumpys) {
    const struct {
        uint32_t seed;
        const char* name;
        uint64_t first, fifth;
    } cases[] = {
        {1, "", 0x8306bdf37922e4ff, 0x4fd42fa03fcd72a9},
        {1, "model.layers.0.q", 0xd9455d1198cecc2c, 0xca61e037ff8447f8},
        {4294967295, "abc", 0x44ff27a5f29fa4dd, 0x474df056d3309134},
    };
    for (const auto& c : cases) {
        NumpyRandom random(c.seed, c.name);
        EXPECT_EQ(random.next(), c.first) << c.name;
        for (int i = 0; i < 3; i++) random.next();
        EXPECT_EQ(random.next(), c.fifth) << c.name;
    }
}

// The last six bytes of tensors of `tiny`, seed 1, as a Python script with the same rules wrote them.
TEST(Snapshot, TensorsAreThoseOfThePythonScript) {
    const struct {
        const char *format, *tensor;
        std::vector<int> last;
    } cases[] = {
        {"mxfp4", "model.layers.3.self_attn.k_proj.weight", {0xd1, 0xbd, 0x2b, 0x3e, 0xc2, 0x3c}},
        {"mxfp4", "model.layers.2.mlp.experts.down_proj_scales", {0x7a, 0x7b, 0x7a, 0x7b, 0x79, 0x79}},
        {"mxfp4", "lm_head.weight", {0x22, 0x3e, 0x4b, 0x3e, 0x99, 0xbd}},
        {"bf16", "model.layers.2.mlp.experts.down_proj", {0x00, 0xbc, 0x00, 0xbe, 0x40, 0xbd}},
    };
    for (const auto& c : cases) {
        const TinyModel tiny(c.format);
        const SafetensorsParts parts(tiny.path() + "/model.safetensors");
        const size_t end = parts.header[c.tensor]["data_offsets"][1];
        std::vector<int> last;
        for (size_t i = end - 6; i < end; i++) last.push_back(static_cast<unsigned char>(parts.data[i]));
        EXPECT_EQ(last, c.last) << c.format << " " << c.tensor;
    }
}

TEST(Snapshot, MistakesInASpecAreNamed) {
    const TempFolder directory;
    const auto error = [&](const std::function<void(SnapshotSpec&)>& change) {
        SnapshotSpec spec;
        change(spec);
        return error_of([&] { write_random_snapshot(directory.path("out"), spec); });
    };
    EXPECT_TRUE(has(error([](auto& s) { s.preset = "30b"; }), {"preset", "30b"}));
    EXPECT_TRUE(has(error([](auto& s) { s.format = "fp8"; }), {"format", "fp8"}));
    EXPECT_TRUE(has(error([](auto& s) { s.settings = {"head_dim"}; }), {"key=JSON", "head_dim"}));
    EXPECT_TRUE(has(error([](auto& s) { s.settings = {"head_dim=x"}; }), {"head_dim", "x"}));
    EXPECT_TRUE(has(error([](auto& s) { s.settings = {"hidden_size=33"}; }), {"hidden_size", "33"}));
    EXPECT_TRUE(has(error([](auto& s) { s.settings = {"vocab_size=9"}, s.tokenizer = true; }), {"vocab_size", "9"}));
    EXPECT_FALSE(std::filesystem::exists(directory.path("out"))) << "nothing is begun with a bad spec";
}

}  // namespace
