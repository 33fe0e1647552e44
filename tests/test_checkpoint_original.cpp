// test_checkpoint_original.cpp: OpenAI's `original/` layout, from directories put together here by its table of names.
#include <gtest/gtest.h>

#include "base/file.h"
#include "support/checkpoint_checks.h"
#include "support/safetensors_parts.h"

namespace fs = std::filesystem;

namespace {

// A snapshot's tensors under the names of the original layout; q, k and v, in this order, are one tensor there.
SafetensorsParts original_tensors(const SafetensorsParts& hf, int n_layers) {
    SafetensorsParts original = hf;
    original.header = nlohmann::ordered_json::object();
    original.data.clear();
    const auto add = [&](const std::string& name, const std::vector<std::string>& sources) {
        nlohmann::ordered_json info = hf.header.at(sources[0]);
        const size_t begin = original.data.size();
        int64_t n_rows = 0;
        for (const std::string& source : sources) {
            const auto& part = hf.header.at(source);
            n_rows += int64_t(part["shape"][0]);
            const size_t from = part["data_offsets"][0], to = part["data_offsets"][1];
            original.data += hf.data.substr(from, to - from);
        }
        info["shape"][0] = n_rows;
        info["data_offsets"] = {begin, original.data.size()};
        original.header[name] = info;
    };
    add("embedding.weight", {"model.embed_tokens.weight"});
    for (int l = 0; l < n_layers; l++) {
        const std::string to = fmt::format("block.{}.", l), from = fmt::format("model.layers.{}.", l);
        const std::string attn = from + "self_attn.", experts = from + "mlp.experts.";
        add(to + "attn.norm.scale", {from + "input_layernorm.weight"});
        for (const char* part : {"weight", "bias"}) {
            const std::string end = std::string("_proj.") + part;
            add(to + "attn.qkv." + part, {attn + "q" + end, attn + "k" + end, attn + "v" + end});
            add(to + "attn.out." + part, {attn + "o" + end});
            add(to + "mlp.gate." + part, {from + "mlp.router." + part});
        }
        add(to + "attn.sinks", {attn + "sinks"});
        add(to + "mlp.norm.scale", {from + "post_attention_layernorm.weight"});
        for (const char* part : {"blocks", "scales"}) {
            add(to + "mlp.mlp1_weight." + part, {experts + "gate_up_proj_" + part});
            add(to + "mlp.mlp2_weight." + part, {experts + "down_proj_" + part});
        }
        add(to + "mlp.mlp1_bias", {experts + "gate_up_proj_bias"});
        add(to + "mlp.mlp2_bias", {experts + "down_proj_bias"});
    }
    add("norm.scale", {"model.norm.weight"});
    add("unembedding.weight", {"lm_head.weight"});
    return original;
}

TEST(OriginalLayout, HoldsWhatTheSnapshotHolds) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=2"});
    const SafetensorsParts tensors = original_tensors(SafetensorsParts(tiny.path() + "/model.safetensors"), 2);
    const TempFolder directory;
    tensors.write(directory.path("model.safetensors"));
    const nlohmann::json config = {{"num_hidden_layers", 2},   {"num_experts", 8},
                                   {"experts_per_token", 4},   {"vocab_size", 1003},
                                   {"hidden_size", 128},       {"intermediate_size", 96},
                                   {"swiglu_limit", 7.0},      {"head_dim", 64},
                                   {"num_attention_heads", 6}, {"num_key_value_heads", 2},
                                   {"sliding_window", 16},     {"initial_context_length", 4096},
                                   {"rope_theta", 150000},     {"rope_scaling_factor", 32.0},
                                   {"rope_ntk_alpha", 1},      {"rope_ntk_beta", 32}};
    write_bytes(directory.path("config.json"), config.dump());
    const Model model = open_model(directory.path());
    expect_same_weights(model, tiny.model());
    EXPECT_EQ(model.weight_bytes, tiny.model().weight_bytes);
    Config expected = tiny.model().gpt_oss().config;
    expected.stop_ids.clear();  // not in this layout, and the published ones are outside this vocabulary
    expect_same_config(model.gpt_oss().config, expected);

    // What is written is the same tensors under the same names.
    export_to(tiny.model(), directory.path("written"), ExportKind::kOriginal);
    const SafetensorsParts written(directory.path("written/model.safetensors"));
    EXPECT_EQ(written.header.size(), tensors.header.size() + 1) << "and __metadata__";
    for (const auto& [name, info] : tensors.header.items()) {
        ASSERT_TRUE(written.header.contains(name)) << name;
        const auto& other = written.header.at(name);
        EXPECT_EQ(other["shape"], info["shape"]) << name;
        EXPECT_EQ(other["dtype"], info["dtype"]) << name;
        const size_t n = size_t(info["data_offsets"][1]) - size_t(info["data_offsets"][0]);
        EXPECT_TRUE(written.data.substr(other["data_offsets"][0], n) == tensors.data.substr(info["data_offsets"][0], n))
            << name;
    }
    EXPECT_EQ(json_of(read_file(directory.path("written/config.json"))), config);
}

TEST(OriginalLayout, ShardsAreNumbered) {
    const TempFolder directory;
    const TinyModel tiny("mxfp4", {"num_hidden_layers=1"});
    const std::string path = directory.path("original");
    export_to(tiny.model(), path, ExportKind::kOriginal);
    const SafetensorsParts whole(path + "/model.safetensors");
    fs::remove(path + "/model.safetensors");
    const auto part_name = [&](int i) { return fmt::format("{}/model--0000{}-of-00003.safetensors", path, i); };
    for (int i = 1; i <= 3; i++) {
        SafetensorsParts part = whole;
        part.data.clear();
        part.header = nlohmann::ordered_json::object();
        int n = 0;
        for (const auto& [name, info] : whole.header.items()) {
            if (name == "__metadata__" || n++ % 3 != i - 1) continue;
            const size_t begin = info["data_offsets"][0], end = info["data_offsets"][1];
            part.header[name] = info;
            part.header[name]["data_offsets"] = {part.data.size(), part.data.size() + end - begin};
            part.data += whole.data.substr(begin, end - begin);
        }
        part.write(part_name(i));
    }
    const Model model = open_model(path);
    EXPECT_EQ(model.kind, CheckpointKind::kOriginal);
    EXPECT_EQ(model.weight_bytes, tiny.model().weight_bytes);
    EXPECT_EQ(model.gpt_oss().weights.layers[0].w_v.at(1, 2), tiny.model().gpt_oss().weights.layers[0].w_v.at(1, 2));
    fs::copy_file(part_name(1), path + "/model--00001-of-00004.safetensors");
    EXPECT_TRUE(has(open_error(path), {path, "one set of shards"}));
    fs::remove(path + "/model--00001-of-00004.safetensors");
    fs::remove(part_name(2));
    EXPECT_TRUE(has(open_error(path), {part_name(2), "cannot open"}));
    fs::copy_file(part_name(1), part_name(2));
    EXPECT_TRUE(has(open_error(path), {part_name(2), "in two"}));
}

}  // namespace
