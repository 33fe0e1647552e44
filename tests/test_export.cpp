// test_export.cpp: every kind of checkpoint to every other, bit for bit; and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "base/checksum.h"
#include "base/file.h"
#include "export_checks.h"
#include "support/json.h"
#include "support/safetensors_parts.h"
#include "tokenizer.h"

namespace fs = std::filesystem;

namespace {

// Two layers, an odd number of experts and values that the header of every kind can say.
const std::vector<std::string> kSettings = {
    "num_hidden_layers=2", "num_local_experts=5",   "num_experts_per_tok=3",
    "vocab_size=301",      "swiglu_limit=5.5",      "sliding_window=9",
    "rope_theta=12345",    "rope_scaling.factor=8", "max_position_embeddings=32768",
    "eos_token_id=7",      "hidden_size=64",        "intermediate_size=32"};

TEST_F(Export, EveryKindToEveryOtherKeepsEveryNumber) {
    for (const char* format : {"mxfp4", "bf16"}) {
        const TinyModel tiny(format, kSettings);
        for (const ExportKind first : kKinds) {
            const bool legacy = first == ExportKind::kLegacyF32 || first == ExportKind::kLegacyBF16;
            const bool dense = std::string(format) == "bf16" || legacy;
            if (first == ExportKind::kOriginal && dense) continue;  // refused: see below
            const Model between = exported(tiny.model(), first);
            for (const ExportKind second : kKinds) {
                SCOPED_TRACE(fmt::format("{} to {} to {}", format, name_of(first), name_of(second)));
                if (second == ExportKind::kOriginal && dense) continue;  // same
                const Model model = exported(between, second);
                expect_same_weights(tiny.model(), model);
                Config expected = tiny.model().gpt_oss().config;
                if (legacy || model.kind == CheckpointKind::kLegacy) expected.stop_ids.clear();
                expect_same_config(model.gpt_oss().config, expected);
            }
        }
    }
}

TEST_F(Export, Mxfp4FilesComeBackByteForByte) {
    const TinyModel tiny("mxfp4", kSettings);
    const std::string source = read_file(tiny.path() + "/model.safetensors");
    for (const ExportKind kind : {ExportKind::kHuggingFace, ExportKind::kOriginal, ExportKind::kContainer}) {
        const Model back = exported(exported(tiny.model(), kind), ExportKind::kHuggingFace);
        EXPECT_TRUE(read_file(back.path + "/model.safetensors") == source) << name_of(kind);
    }
    // Through the dense kinds it becomes what a bf16 snapshot of the same seed holds.
    const TinyModel dense("bf16", kSettings);
    for (const ExportKind kind : {ExportKind::kLegacyF32, ExportKind::kLegacyBF16}) {
        const Model back = exported(exported(tiny.model(), kind), ExportKind::kHuggingFace);
        EXPECT_TRUE(read_file(back.path + "/model.safetensors") == read_file(dense.path() + "/model.safetensors"));
    }
}

// Everything that Config can hold and only these two kinds can say.
TEST_F(Export, HuggingFaceAndContainerSayEverything) {
    const TinyModel tiny("mxfp4",
                         {"num_hidden_layers=2", "rms_norm_eps=0.003", "swiglu_alpha=1.5", "rope_scaling.truncate=true",
                          "rope_scaling.beta_fast=16", "rope_scaling.beta_slow=2", "rope_scaling.attention_factor=1.1",
                          "max_position_embeddings=5000", "eos_token_id=[5,6,7]"});
    nlohmann::json config = json_of(read_file(tiny.path() + "/config.json"));
    config["layer_types"] = {"full_attention", "sliding_attention"};
    write_bytes(tiny.path() + "/config.json", config.dump());
    const Model model = open_model(tiny.path());
    for (const ExportKind kind : {ExportKind::kHuggingFace, ExportKind::kContainer})
        expect_same_config(exported(model, kind).gpt_oss().config, model.gpt_oss().config);
}

TEST_F(Export, WhatAHeaderCannotSayIsRefused) {
    const struct {
        const char* setting;
        const char* word;
        bool original_too;
    } cases[] = {
        {"rms_norm_eps=0.003", "epsilon", true},
        {"swiglu_alpha=1.5", "alpha", true},
        {"rope_scaling.truncate=true", "truncate", true},
        {"rope_scaling.attention_factor=1.1", "attention factor", true},
        {"rope_scaling.beta_fast=16", "beta_fast", false},
        {"rope_scaling.beta_slow=2", "beta_slow", false},
    };
    for (const auto& c : cases) {
        const TinyModel tiny("mxfp4", {"num_hidden_layers=1", c.setting});
        for (const ExportKind kind : {ExportKind::kLegacyF32, ExportKind::kLegacyBF16, ExportKind::kOriginal}) {
            const std::string path = directory.path(fmt::format("{}", ++count));
            const std::string error = error_of([&] { export_model(tiny.model(), path, to(kind)); });
            if (kind == ExportKind::kOriginal && !c.original_too)
                EXPECT_EQ(error, "");
            else
                EXPECT_TRUE(has(error, {c.word, "expected", "found"})) << name_of(kind);
            EXPECT_EQ(fs::exists(path), error.empty());
        }
    }
    const TinyModel tiny("mxfp4", {"num_hidden_layers=2"});
    Model full = tiny.model();
    full.gpt_oss().config.layer_kind = {LayerKind::kFull, LayerKind::kFull};
    EXPECT_TRUE(has(error_of([&] { export_model(full, directory.path("x"), to(ExportKind::kOriginal)); }), {"layers"}));
    const TinyModel dense("bf16", {"num_hidden_layers=1"});
    EXPECT_TRUE(has(error_of([&] { export_model(dense.model(), directory.path("x"), to(ExportKind::kOriginal)); }),
                    {"original", "MXFP4", "dense"}));
}

TEST_F(Export, F32GoesToBf16OnlyIfExact) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    const Model legacy = exported(tiny.model(), ExportKind::kLegacyF32);
    std::string bytes = read_file(legacy.path);
    const float inexact = 1.00001f;
    std::memcpy(bytes.data() + 60 + 4 * 1003 * 128 * 2, &inexact, sizeof inexact);  // the first attention norm
    const std::string path = directory.path("inexact.bin");
    write_bytes(path, bytes);
    const Model model = open_model(path);
    EXPECT_EQ(model.gpt_oss().weights.layers[0].g_attn[0], inexact);
    for (const ExportKind kind : {ExportKind::kHuggingFace, ExportKind::kLegacyBF16}) {
        const std::string out = directory.path(name_of(kind));
        EXPECT_TRUE(has(error_of([&] { export_model(model, out, to(kind)); }), {"norm", "bf16", "1.00001"}));
        EXPECT_FALSE(fs::exists(out));
    }
    for (const ExportKind kind : {ExportKind::kContainer, ExportKind::kLegacyF32}) {
        const Model kept = exported(model, kind);
        EXPECT_EQ(kept.gpt_oss().weights.embed.dtype, DType::kF32);
        expect_same_weights(kept, model);
    }
    EXPECT_EQ(read_file(exported(exported(model, ExportKind::kContainer), ExportKind::kLegacyF32).path), bytes);
}

TEST_F(Export, SamplingDefaultsGoAlong) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    Model model = tiny.model();
    for (const ExportKind kind : {ExportKind::kContainer, ExportKind::kHuggingFace, ExportKind::kOriginal}) {
        const SamplingDefaults none = exported(model, kind).gpt_oss().config.sampling;
        EXPECT_FALSE(none.do_sample || none.temperature || none.top_p || none.top_k) << name_of(kind);
    }
    model.gpt_oss().config.sampling = {true, 0.6f, 0.95f, 20};
    for (const ExportKind kind : {ExportKind::kContainer, ExportKind::kHuggingFace, ExportKind::kOriginal}) {
        const SamplingDefaults back = exported(model, kind).gpt_oss().config.sampling;
        EXPECT_EQ(back.do_sample, true) << name_of(kind);
        EXPECT_EQ(back.temperature, 0.6f) << name_of(kind);
        EXPECT_EQ(back.top_p, 0.95f) << name_of(kind);
        EXPECT_EQ(back.top_k, 20) << name_of(kind);
    }
}

TEST_F(Export, ContainerIsASafetensorsFileWithoutHolesAlignedTo64) {
    const TinyModel tiny("mxfp4", {"num_local_experts=3", "num_experts_per_tok=1", "vocab_size=77"});
    const Model model = exported(tiny.model(), ExportKind::kContainer);
    const SafetensorsParts parts(model.path);
    const size_t start = read_file(model.path).size() - parts.data.size();
    EXPECT_EQ(start % 64, 0u);
    size_t end = 0;
    std::vector<std::string> order;
    for (const auto& [name, info] : parts.header.items()) {
        if (name == "__metadata__") continue;
        EXPECT_EQ(info["data_offsets"][0], end) << "the format allows no holes: " << name;
        end = info["data_offsets"][1];
        if (name.rfind("padding.", 0) == 0) continue;
        EXPECT_EQ(size_t(info["data_offsets"][0]) % 64, 0u) << name;
        order.push_back(name);
    }
    EXPECT_EQ(end, parts.data.size());
    std::vector<std::string> source_order;
    const SafetensorsParts source(tiny.path() + "/model.safetensors");
    for (const auto& item : source.header.items())
        if (item.key() != "__metadata__") source_order.push_back(item.key());
    EXPECT_EQ(order, source_order);
}

// XXH3_64bits of nothing and of "a", as `xxhsum -H3` gives them.
TEST_F(Export, ChecksumIsXxh3) {
    EXPECT_EQ(Checksum().hex(), "2d06800538d394c2");
    Checksum a;
    a.add("a", 1);
    EXPECT_EQ(a.hex(), "e6c632b61e964e1f");
}

TEST_F(Export, AFlippedBitInAContainerIsFound) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    const Model model = exported(tiny.model(), ExportKind::kContainer);
    verify_checksums(model.path);
    const SafetensorsParts whole(model.path);
    for (const auto& [name, info] : whole.header.items()) {
        if (name == "__metadata__" || name.rfind("padding.", 0) == 0) continue;
        SafetensorsParts damaged = whole;
        damaged.data[size_t(info["data_offsets"][1]) - 1] ^= 1;
        damaged.write(model.path);
        EXPECT_TRUE(has(error_of([&] { verify_checksums(model.path); }), {model.path, name, "checksum"}));
    }
    const Model damaged = open_model(model.path);
    EXPECT_TRUE(
        has(error_of([&] { export_model(damaged, directory.path("x"), to(ExportKind::kHuggingFace)); }), {"checksum"}));
    EXPECT_FALSE(fs::exists(directory.path("x")));
}

TEST_F(Export, NaNScalesAreNotExported) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    SafetensorsParts parts(tiny.path() + "/model.safetensors");
    const std::string name = "model.layers.0.mlp.experts.down_proj_scales";
    parts.data[parts.header[name]["data_offsets"][0]] = '\xff';
    parts.write(tiny.path() + "/model.safetensors");
    const Model model = open_model(tiny.path());
    for (const ExportKind kind : kKinds)
        EXPECT_TRUE(has(error_of([&] { export_model(model, directory.path("x"), to(kind)); }), {name, "NaN"}));
}

TEST_F(Export, ProgressReachesTheTotal) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    for (const ExportKind kind : kKinds) {
        int64_t last = 0, whole = -1;
        ExportOptions options = to(kind);
        options.progress = [&](int64_t done, int64_t total) {
            EXPECT_GE(done, last);
            last = done;
            whole = total;
        };
        export_model(tiny.model(), directory.path(name_of(kind)), options);
        EXPECT_EQ(last, whole) << name_of(kind);
    }
}

TEST_F(Export, TokenizerAndStopIdsGoAlong) {
    SnapshotSpec spec;
    spec.preset = "demo";
    spec.settings = {"num_hidden_layers=1"};
    write_random_snapshot(directory.path("demo"), spec);
    write_bytes(directory.path("demo/chat_template.jinja"), "template");
    const Model demo = open_model(directory.path("demo"));
    EXPECT_EQ(demo.gpt_oss().config.stop_ids, (std::vector<int>{258, 257, 264})) << "generation_config.json wins";
    for (const ExportKind kind : {ExportKind::kHuggingFace, ExportKind::kOriginal, ExportKind::kContainer}) {
        std::vector<std::string> notes;
        ExportOptions options = to(kind);
        options.note = [&](const std::string& line) { notes.push_back(line); };
        export_model(demo, directory.path(name_of(kind)), options);
        EXPECT_TRUE(notes.empty()) << notes[0];
        const Model model = open_model(directory.path(name_of(kind)));
        EXPECT_EQ(model.common().stop_ids, demo.gpt_oss().config.stop_ids);
        const Tokenizer tokenizer = Tokenizer::for_model(model);
        EXPECT_EQ(tokenizer.encode_with_special("ab<|end|>"), (std::vector<int>{97, 98, 262}));
        EXPECT_EQ(tokenizer.special("<|call|>"), 264);
    }
    EXPECT_EQ(read_file(directory.path("hf/tokenizer.json")), read_file(directory.path("demo/tokenizer.json")));
    EXPECT_EQ(read_file(directory.path("hf/chat_template.jinja")), "template");

    // From a model without one: a note; or the one that the caller names.
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    for (const ExportKind kind : {ExportKind::kHuggingFace, ExportKind::kContainer}) {
        std::vector<std::string> notes;
        ExportOptions options = to(kind);
        options.note = [&](const std::string& line) { notes.push_back(line); };
        export_model(tiny.model(), directory.path(fmt::format("{}", ++count)), options);
        ASSERT_EQ(notes.size(), 1u);
        EXPECT_TRUE(has(notes[0], {"tokenizer"}));
        for (const char* given : {"demo", "demo/tokenizer.json"}) {
            options.tokenizer_path = directory.path(given);
            const std::string out = directory.path(fmt::format("{}", ++count));
            export_model(tiny.model(), out, options);
            EXPECT_EQ(Tokenizer::for_model(open_model(out)).special("<|call|>"), 264);
        }
        EXPECT_EQ(notes.size(), 1u);
        options.tokenizer_path = directory.path("gone");
        EXPECT_NE(error_of([&] { export_model(tiny.model(), directory.path("x"), options); }), "");
        EXPECT_FALSE(fs::exists(directory.path("x")));
    }
}

// The tokenizer in a .bin becomes a tokenizer.json again, and so does a rank file or a tokenizer.bin.
TEST_F(Export, TokenizersOfOtherFormsBecomeATokenizerJson) {
    SnapshotSpec spec;
    spec.preset = "demo";
    spec.settings = {"num_hidden_layers=1"};
    write_random_snapshot(directory.path("demo"), spec);
    const Model container = exported(open_model(directory.path("demo")), ExportKind::kContainer);
    const Tokenizer expected = Tokenizer::for_model(container);
    for (const ExportKind kind : {ExportKind::kHuggingFace, ExportKind::kDequantised, ExportKind::kOriginal}) {
        const std::string out = directory.path(fmt::format("{}", ++count));
        std::vector<std::string> notes;
        ExportOptions options = to(kind);
        options.note = [&](const std::string& line) { notes.push_back(line); };
        export_model(container, out, options);
        EXPECT_TRUE(notes.empty()) << notes[0];
        ASSERT_TRUE(is_file(out + "/tokenizer.json")) << name_of(kind);
        EXPECT_EQ(Tokenizer::for_model(open_model(out)).serialize(), expected.serialize()) << name_of(kind);
    }
}

TEST_F(Export, OriginalKeepsTheContext) {
    // 512 positions times a factor of 4 are 2048; the config says more, less, or just that.
    for (const int context : {4096, 1000, 2048}) {
        const TinyModel tiny("mxfp4", {"num_hidden_layers=1", "rope_scaling.factor=4",
                                       "rope_scaling.original_max_position_embeddings=512",
                                       fmt::format("max_position_embeddings={}", context)});
        ASSERT_EQ(tiny.model().common().max_context, context);
        const Model original = exported(tiny.model(), ExportKind::kOriginal);
        EXPECT_EQ(original.gpt_oss().config.max_context, context);
        EXPECT_EQ(exported(original, ExportKind::kHuggingFace).gpt_oss().config.max_context, context);
        // OpenAI's own reader takes no other field than its own in this file.
        EXPECT_EQ(read_file(original.path + "/config.json").find("max_position_embeddings"), std::string::npos);
    }
}

TEST_F(Export, DequantisedIsWhatABF16SnapshotHolds) {
    const TinyModel tiny("mxfp4", kSettings), dense("bf16", kSettings);
    const Model model = exported(tiny.model(), ExportKind::kDequantised);
    EXPECT_EQ(model.kind, CheckpointKind::kHuggingFace);
    EXPECT_TRUE(read_file(model.path + "/model.safetensors") == read_file(dense.path() + "/model.safetensors"));
    EXPECT_EQ(read_file(model.path + "/config.json").find("quantization_config"), std::string::npos);
    expect_same_config(model.gpt_oss().config, tiny.model().gpt_oss().config);
}

}  // namespace
