// test_gpt2_checkpoint.cpp: GPT-2's files: what is refused and how, and that exporting loses nothing.
#include <cstring>

#include "base/file.h"
#include "gpt2_model.h"
#include "support/checkpoint_checks.h"
#include "support/json.h"
#include "text_checks.h"

namespace {

class Gpt2Files : public testing::Test {
  protected:
    // The bytes of llm.c's tiny model.
    std::string llmc(DType dtype = DType::kF32) const {
        write_llmc_gpt2(folder.path("llmc"), gpt2_preset("gpt2-tiny"), dtype);
        return read_file(folder.path("llmc/model.bin"));
    }
    static std::string with_field(std::string bytes, int at, int32_t value) {
        std::memcpy(bytes.data() + 4 * at, &value, sizeof value);
        return bytes;
    }
    std::string error_for(const std::string& bytes) const {
        const std::string path = folder.write("file.bin", bytes);
        return error_of([&] { open_model(path); });
    }
    std::string snapshot(const Gpt2Snapshot& form = {}) const {
        write_gpt2_snapshot(folder.path("hf"), gpt2_preset("gpt2-tiny"), form);
        return folder.path("hf");
    }
    void export_as(const Model& model, const std::string& name, ExportKind kind) const {
        ExportOptions options;
        options.kind = kind;
        export_model(model, folder.path(name), options);
    }
    TempFolder folder;
};

TEST_F(Gpt2Files, LlmcsHeaderIsChecked) {
    const std::string good = llmc();
    EXPECT_EQ(error_for(good), "");
    struct Case {
        int field;
        int32_t value;
        std::vector<std::string> words;
    };
    for (const Case& c : std::vector<Case>{{0, 20240328, {"expected a model", "tokenizer"}},
                                           {0, 20240520, {"expected a model", "token shard"}},
                                           {1, 1, {"version", "3 (fp32) or 5 (bf16)", "found 1", "export"}},
                                           {1, 4, {"version", "found 4"}},
                                           {2, 0, {"max_seq_len", "found 0"}},
                                           {3, -5, {"vocab_size", "found -5"}},
                                           {4, 1 << 20, {"num_layers", "found 1048576"}},
                                           {5, 3, {"num_heads", "a divisor of the 128 channels", "found 3"}},
                                           {6, 0, {"channels", "found 0"}},
                                           {7, 640, {"padded_vocab_size", "from 641", "found 640"}},
                                           {7, 0, {"padded_vocab_size", "found 0"}},
                                           {2, 97, {"file size", "found"}},
                                           {1, 5, {"file size", "found"}}}) {
        SCOPED_TRACE(std::to_string(c.field) + " = " + std::to_string(c.value));
        EXPECT_TRUE(has(error_for(with_field(good, c.field, c.value)), c.words));
    }
}

TEST_F(Gpt2Files, LlmcsSizeIsChecked) {
    const std::string good = llmc();
    EXPECT_TRUE(has(error_for(good.substr(0, good.size() - 1)),
                    {"file size", std::to_string(good.size()), std::to_string(good.size() - 1)}));
    EXPECT_TRUE(has(error_for(good + "x"), {"file size", std::to_string(good.size() + 1)}));
    EXPECT_TRUE(has(error_for(good.substr(0, 1000)), {"1024", "1000"}));
}

TEST_F(Gpt2Files, OpenAisVocabularyEndsATextWithItsLastToken) {
    EXPECT_TRUE(Gpt2Model("gpt2-tiny", DType::kF32).model().common().stop_ids.empty()) << "the file does not say";
    Gpt2Spec small{1, 1, 8, 50257, 4};
    write_llmc_gpt2(folder.path("openai"), small, DType::kBF16);
    EXPECT_EQ(open_model(folder.path("openai/model.bin")).common().stop_ids, std::vector<int>{50256});
}

TEST_F(Gpt2Files, SnapshotsThatComputeOtherwiseAreRefused) {
    const std::string path = snapshot();
    const std::string config = read_file(path + "/config.json");
    struct Case {
        const char* key;
        nlohmann::json value;
        std::vector<std::string> words;
    };
    for (const Case& c :
         std::vector<Case>{{"activation_function", "relu", {"activation_function", "gelu_new", "relu"}},
                           {"scale_attn_by_inverse_layer_idx", true, {"scale_attn_by_inverse", "false"}},
                           {"scale_attn_weights", false, {"scale_attn_weights", "true"}},
                           {"reorder_and_upcast_attn", true, {"reorder_and_upcast_attn", "false"}},
                           {"add_cross_attention", true, {"add_cross_attention", "false"}},
                           {"n_head", 3, {"n_head", "a divisor of n_embd"}},
                           {"n_inner", 500, {"mlp.c_fc.weight", "[128, 500]", "[128, 512]"}},
                           {"n_layer", 1, {"n_layer", "tensors for more"}},
                           {"n_layer", 3, {"h.2.ln_1.weight"}},
                           {"vocab_size", 640, {"wte.weight", "[640, 128]"}}}) {
        SCOPED_TRACE(c.key);
        nlohmann::json changed = json_of(config);
        changed[c.key] = c.value;
        std::ofstream(path + "/config.json") << changed.dump();
        EXPECT_TRUE(has(error_of([&] { open_model(path); }), c.words));
    }
    nlohmann::json same = json_of(config);
    same["n_inner"] = nullptr;
    same["activation_function"] = "gelu_pytorch_tanh";  // another name of the same
    std::ofstream(path + "/config.json") << same.dump();
    EXPECT_EQ(error_of([&] { open_model(path); }), "");
}

TEST_F(Gpt2Files, AHeadOfItsOwnIsRefused) {
    Gpt2Snapshot untied;
    untied.lm_head = true;
    untied.head_error = 1;
    const std::string path = snapshot(untied);
    EXPECT_TRUE(has(error_of([&] { open_model(path); }), {"lm_head.weight", "wte.weight"}));
}

TEST_F(Gpt2Files, ExportedToHuggingFaceAndBackLlmcsFileIsTheSame) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
        SCOPED_TRACE(int(dtype));
        const std::string bytes = llmc(dtype), name = dtype == DType::kF32 ? "f32" : "bf16";
        const ExportKind kind = dtype == DType::kF32 ? ExportKind::kLlmcF32 : ExportKind::kLlmcBF16;
        export_as(open_model(folder.path("llmc") + "/model.bin"), "hf-" + name, ExportKind::kHuggingFace);
        const Model snapshot = open_model(folder.path("hf-" + name));
        EXPECT_EQ(snapshot.common().stop_ids, std::vector<int>{640}) << "as the tokenizer says";
        export_as(snapshot, name + ".bin", kind);
        EXPECT_TRUE(read_file(folder.path(name + ".bin")) == bytes);
        verify_model(snapshot, {});
        verify_model(open_model(folder.path(name + ".bin")), {});
    }
}

// A made-up snapshot's tensors are the transposed ones of llm.c's file; the writer of both is not the exporter.
TEST_F(Gpt2Files, ExportsWhatTheOtherWriterWrites) {
    Gpt2Snapshot form;
    form.prefix = "transformer.";
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
        form.dtype = dtype;
        std::filesystem::remove_all(folder.path("hf"));
        const Model model = open_model(snapshot(form));
        std::filesystem::remove(folder.path("out.bin"));
        export_as(model, "out.bin", ExportKind::kLlmcF32);
        EXPECT_TRUE(read_file(folder.path("out.bin")) == llmc());
    }
}

TEST_F(Gpt2Files, ExportRefusesWhatAKindCannotHold) {
    llmc();
    const Model model = open_model(folder.path("llmc/model.bin"));
    for (const ExportKind kind :
         {ExportKind::kContainer, ExportKind::kOriginal, ExportKind::kDequantised, ExportKind::kLegacyF32}) {
        EXPECT_TRUE(has(error_of([&] { export_as(model, "out", kind); }), {"hf, llmc-f32 or llmc-bf16", "GPT-2"}));
        EXPECT_FALSE(std::filesystem::exists(folder.path("out")));
    }
    Model narrow = model;
    narrow.gpt2().config.norm_eps = 1e-6f;
    EXPECT_TRUE(has(error_of([&] { export_as(narrow, "out", ExportKind::kLlmcF32); }), {"llm.c", "epsilon", "1e-05"}));
    const float third = 1.0f / 3;
    narrow = model;
    narrow.gpt2().weights.norm_final.bias = {DType::kF32, 1, &third};
    EXPECT_TRUE(has(error_of([&] { export_as(narrow, "out", ExportKind::kLlmcBF16); }), {"lnfb", "bf16", "0.33"}));
    EXPECT_FALSE(std::filesystem::exists(folder.path("out")));
}

TEST_F(Gpt2Files, VerifyFindsWhatIsNoNumber) {
    std::string bytes = llmc();
    const float nan = std::nanf("");
    std::memcpy(bytes.data() + bytes.size() - 4, &nan, 4);
    const Model damaged = open_model(folder.write("damaged.bin", bytes));
    EXPECT_TRUE(has(error_of([&] { verify_model(damaged, {}); }), {"lnfb", "[127]"}));
    write_llmc_gpt2(folder.path("padded"), gpt2_preset("gpt2-tiny"), DType::kF32, nan);
    verify_model(open_model(folder.path("padded/model.bin")), {});  // rows that nobody reads
}

// As HipGPT writes it, with one block.
std::string other_checkpoint(int32_t vocab, int32_t positions, int32_t dim, int32_t ffn) {
    std::string bytes;
    const auto integers = [&](std::initializer_list<int32_t> values) {
        bytes.append(reinterpret_cast<const char*>(values.begin()), 4 * values.size());
    };
    const auto zeros = [&](int n) { bytes.append(size_t(4 * n), '\0'); };
    integers({vocab, positions, dim, 1});
    zeros((vocab + positions) * dim);
    integers({dim, 2, ffn});
    zeros(4 * dim * dim + 2 * dim * ffn + 3 * dim + dim + ffn + dim + 4 * dim);
    zeros(vocab * dim);
    return bytes;
}

TEST_F(Gpt2Files, AnotherGptsIsRefusedByName) {
    const std::string bytes = other_checkpoint(100, 16, 8, 20);
    EXPECT_TRUE(has(error_for(bytes), {"HipGPT", "causal mask", "train anew"}));
    EXPECT_FALSE(has(error_for(bytes + "x"), {"HipGPT"}));
}

}  // namespace
