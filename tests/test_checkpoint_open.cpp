// test_checkpoint_open.cpp: open_model on snapshots, original directories and containers: what they hold, and every
// kind of damage to their files.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "support/checkpoint_checks.h"
#include "support/json.h"
#include "support/safetensors_parts.h"

namespace fs = std::filesystem;

namespace {

// One checkpoint of each safetensors kind, and the file that holds its tensors.
struct Checkpoint {
    std::string path, tensors;
};

class OpenModel : public testing::Test {
  protected:
    std::vector<Checkpoint> checkpoints() {
        const TinyModel tiny("mxfp4", kOneLayer);
        const TinyModel dense("bf16", kOneLayer);
        fs::copy(tiny.path(), directory.path("hf"));
        fs::copy(dense.path(), directory.path("dense"));
        export_to(tiny.model(), directory.path("original"), ExportKind::kOriginal);
        export_to(tiny.model(), directory.path("model.bin"), ExportKind::kContainer);
        return {{directory.path("hf"), directory.path("hf/model.safetensors")},
                {directory.path("dense"), directory.path("dense/model.safetensors")},
                {directory.path("original"), directory.path("original/model.safetensors")},
                {directory.path("model.bin"), directory.path("model.bin")}};
    }
    TempFolder directory;
};

TEST_F(OpenModel, KindsAreRecognisedByContent) {
    const std::vector<Checkpoint> all = checkpoints();
    const CheckpointKind kinds[] = {CheckpointKind::kHuggingFace, CheckpointKind::kHuggingFace,
                                    CheckpointKind::kOriginal, CheckpointKind::kContainer};
    for (size_t i = 0; i < all.size(); i++) {
        const Model model = open_model(all[i].path);
        EXPECT_EQ(model.kind, kinds[i]);
        EXPECT_EQ(model.path, all[i].path);
        check_scales(model);
    }
    OpenOptions swap;
    swap.swap_legacy_embeddings = true;
    for (const Checkpoint& c : all) EXPECT_TRUE(has(open_error(c.path, swap), {c.path, "legacy"}));
}

// A snapshot's tensors, read without the code under test.
class Tensors {
  public:
    explicit Tensors(const std::string& file) : parts_(file) {}

    void expect_matrix(const Matrix& m, const std::string& name) const {
        ASSERT_EQ(parts_.header[name]["shape"], nlohmann::ordered_json({m.n_out, m.n_in})) << name;
        for (int64_t o = 0; o < m.n_out; o++)
            for (int64_t i = 0; i < m.n_in; i++) ASSERT_EQ(m.at(o, i), bf16_at(name, o * m.n_in + i)) << name;
    }
    void expect_vector(const Vector& v, const std::string& name) const {
        int64_t n = 1;
        for (const int64_t size : parts_.header[name]["shape"]) n *= size;
        ASSERT_EQ(v.n, n) << name;
        for (int64_t i = 0; i < n; i++) ASSERT_EQ(v[i], bf16_at(name, i)) << name;
    }
    void expect_experts(const ExpertMatrices& w, const std::string& name) const {
        const int64_t n_out = w.first.n_out, n_in = w.first.n_in;
        const bool dense = parts_.header.contains(name);  // (E, in, out)
        for (int e = 0; e < w.n_experts; e++)
            for (int64_t o = 0; o < n_out; o++)
                for (int64_t i = 0; i < n_in; i++)
                    ASSERT_EQ(w[e].at(o, i), dense ? bf16_at(name, (e * n_in + i) * n_out + o)
                                                   : mxfp4_at(name, (e * n_out + o) * n_in + i))
                        << name << " " << e << " " << o << " " << i;
    }

  private:
    const char* data(const std::string& name) const {
        return parts_.data.data() + size_t(parts_.header[name]["data_offsets"][0]);
    }
    float bf16_at(const std::string& name, int64_t i) const {
        bf16 h;
        std::memcpy(&h, data(name) + 2 * i, sizeof h);
        return to_f32(h);
    }
    float mxfp4_at(const std::string& name, int64_t i) const {
        const int byte = static_cast<uint8_t>(data(name + "_blocks")[i / 2]);
        const int scale = static_cast<uint8_t>(data(name + "_scales")[i / 32]);
        const int code = i % 2 ? byte >> 4 : byte & 15;
        const float magnitude[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
        return std::ldexp(magnitude[code & 7], scale - 127) * (code & 8 ? -1.0f : 1.0f);
    }
    const SafetensorsParts parts_;
};

TEST_F(OpenModel, EveryViewHoldsItsTensor) {
    for (const Checkpoint& c : checkpoints()) {
        if (c.path.find("model.bin") != std::string::npos || c.path.find("original") != std::string::npos) continue;
        SCOPED_TRACE(c.path);
        const Model model = open_model(c.path);
        const Tensors tensors(c.tensors);
        const LayerWeights& layer = model.gpt_oss().weights.layers[0];
        const std::string p = "model.layers.0.";
        tensors.expect_matrix(model.gpt_oss().weights.embed, "model.embed_tokens.weight");
        tensors.expect_matrix(model.gpt_oss().weights.unembed, "lm_head.weight");
        tensors.expect_vector(model.gpt_oss().weights.g_final, "model.norm.weight");
        tensors.expect_vector(layer.g_attn, p + "input_layernorm.weight");
        tensors.expect_vector(layer.g_mlp, p + "post_attention_layernorm.weight");
        tensors.expect_matrix(layer.w_q, p + "self_attn.q_proj.weight");
        tensors.expect_matrix(layer.w_k, p + "self_attn.k_proj.weight");
        tensors.expect_matrix(layer.w_v, p + "self_attn.v_proj.weight");
        tensors.expect_matrix(layer.w_o, p + "self_attn.o_proj.weight");
        tensors.expect_vector(layer.b_q, p + "self_attn.q_proj.bias");
        tensors.expect_vector(layer.b_k, p + "self_attn.k_proj.bias");
        tensors.expect_vector(layer.b_v, p + "self_attn.v_proj.bias");
        tensors.expect_vector(layer.b_o, p + "self_attn.o_proj.bias");
        tensors.expect_vector(layer.sinks, p + "self_attn.sinks");
        tensors.expect_matrix(layer.w_router, p + "mlp.router.weight");
        tensors.expect_vector(layer.b_router, p + "mlp.router.bias");
        tensors.expect_vector(layer.b_up, p + "mlp.experts.gate_up_proj_bias");
        tensors.expect_vector(layer.b_down, p + "mlp.experts.down_proj_bias");
        tensors.expect_experts(layer.w_up, p + "mlp.experts.gate_up_proj");
        tensors.expect_experts(layer.w_down, p + "mlp.experts.down_proj");
    }
}

TEST_F(OpenModel, ShardsAreFoundByTheIndex) {
    SnapshotSpec spec;
    spec.settings = {"num_hidden_layers=2"};
    spec.shards = 5;
    const std::string sharded = directory.path("sharded"), index = sharded + "/model.safetensors.index.json";
    write_random_snapshot(sharded, spec);
    const TinyModel whole("mxfp4", spec.settings);
    const Model model = open_model(sharded);
    EXPECT_EQ(model.weight_bytes, whole.model().weight_bytes);
    EXPECT_EQ(model.mappings.size(), 5u);
    EXPECT_EQ(model.gpt_oss().weights.layers[1].w_down[7].at(3, 2),
              whole.model().gpt_oss().weights.layers[1].w_down[7].at(3, 2));
    EXPECT_EQ(model.gpt_oss().weights.unembed.at(1002, 127), whole.model().gpt_oss().weights.unembed.at(1002, 127));

    // Other files in the folder are ignored, even one that is no safetensors file.
    write_bytes(sharded + "/other.safetensors", "nonsense");
    EXPECT_EQ(open_error(sharded), "");

    const std::string kept = read_file(index);
    const std::string shard = "model-00002-of-00005.safetensors", tensor = "model.layers.1.self_attn.q_proj.weight";
    const std::vector<std::pair<std::function<void(nlohmann::json&)>, std::vector<std::string>>> damages = {
        {[&](auto& j) { j["weight_map"].erase(tensor); }, {index, tensor, "none of that name"}},
        {[&](auto& j) { j["weight_map"][tensor] = "gone.safetensors"; },
         {index, "6 files", "1 missing", "gone.safetensors"}},
        {[&](auto& j) { j["weight_map"][tensor] = "model-00000-of-00005.safetensors"; }, {index, tensor, "00000"}},
        {[&](auto& j) { j["weight_map"][tensor] = "../hf/model.safetensors"; }, {index, tensor, "same directory"}},
        {[&](auto& j) { j["weight_map"][tensor] = 7; }, {index, tensor, "file name", "7"}},
        {[&](auto& j) { j.erase("weight_map"); }, {index, "weight_map"}},
        {[&](auto& j) { j["weight_map"] = "x"; }, {index, "weight_map", "object"}},
        {[&](auto& j) { j = 3; }, {index, "object", "3"}},
    };
    for (const auto& [damage, words] : damages) {
        edit_json(index, damage);
        EXPECT_TRUE(has(open_error(sharded), words));
        write_bytes(index, kept);
    }
    write_bytes(index, "{");
    EXPECT_TRUE(has(open_error(sharded), {index, "JSON"}));
    write_bytes(index, kept);
    fs::remove(sharded + "/" + shard);
    EXPECT_TRUE(has(open_error(sharded), {index, "5 files", "1 missing", shard}));
    fs::remove(index);
    EXPECT_TRUE(has(open_error(sharded), {sharded, "model.safetensors.index.json"}));
}

TEST_F(OpenModel, EveryTensorIsNeededWithItsShapeAndDtype) {
    for (const Checkpoint& c : checkpoints()) {
        const SafetensorsParts whole(c.tensors);
        for (const auto& [tensor, info] : whole.header.items()) {
            if (tensor == "__metadata__" || tensor.rfind("padding.", 0) == 0) continue;
            const std::string name = tensor;
            SCOPED_TRACE(c.path + " " + name);
            const auto error_with = [&](const char* key, const nlohmann::ordered_json& value) {
                SafetensorsParts damaged = whole;
                damaged.header[name][key] = value;
                damaged.write(c.tensors);
                return open_error(c.path);
            };
            nlohmann::ordered_json shape = info["shape"];
            shape.insert(shape.begin(), 1);
            EXPECT_TRUE(has(error_with("shape", shape), {c.tensors, name, "shape", "expected [", "found [1, "}));
            const bool bytes = info["dtype"] == "U8";
            EXPECT_TRUE(has(error_with("dtype", bytes ? "I8" : "I16"),
                            {c.tensors, name, "dtype", bytes ? "expected U8" : "expected BF16", bytes ? "I8" : "I16"}));
            SafetensorsParts damaged = whole;
            damaged.header.erase(name);
            damaged.header["other"] = info;
            damaged.write(c.tensors);
            EXPECT_TRUE(has(open_error(c.path), {name, "none of that name"}));
        }
        whole.write(c.tensors);
        EXPECT_EQ(open_error(c.path), "");
    }
}

TEST_F(OpenModel, TruncatedAndOverlongFiles) {
    for (const Checkpoint& c : checkpoints()) {
        const std::string whole = read_file(c.tensors);
        uint64_t header = 0;
        std::memcpy(&header, whole.data(), sizeof header);
        const size_t data = sizeof header + header;
        for (const size_t size : {size_t(0), size_t(1), size_t(7), size_t(8), size_t(9), data / 2, data - 1, data,
                                  data + 1, (data + whole.size()) / 2, whole.size() - 1}) {
            write_bytes(c.tensors, whole.substr(0, size));
            EXPECT_TRUE(has(open_error(c.path), {c.tensors, "expected", "found"})) << "cut to " << size;
        }
        write_bytes(c.tensors, whole + '\0');
        EXPECT_TRUE(
            has(open_error(c.path), {c.tensors, std::to_string(whole.size()), std::to_string(whole.size() + 1)}));
    }
}

TEST_F(OpenModel, ConfigAndTensorsMustAgree) {
    const TinyModel tiny("mxfp4", {"num_hidden_layers=2"});
    const std::string hf = tiny.path(), config = hf + "/config.json";
    const std::string kept = read_file(config);
    const std::vector<std::pair<const char*, int>> changes = {
        {"vocab_size", 1002},       {"hidden_size", 96},        {"intermediate_size", 64}, {"num_hidden_layers", 3},
        {"num_attention_heads", 4}, {"num_key_value_heads", 3}, {"head_dim", 32},          {"num_local_experts", 7},
    };
    for (const auto& change : changes) {
        write_bytes(config, kept);
        edit_json(config, [&](auto& j) {
            j[change.first] = change.second;
            j.erase("layer_types");
        });
        EXPECT_TRUE(has(open_error(hf), {hf, "model.", "expected"})) << change.first;
    }
    write_bytes(config, kept);
    edit_json(config, [](auto& j) { j["num_hidden_layers"] = 1, j.erase("layer_types"); });
    EXPECT_TRUE(has(open_error(hf), {config, "num_hidden_layers", "1", "more"}));
    write_bytes(config, kept);
    edit_json(config, [](auto& j) { j["hidden_size"] = 100; });
    EXPECT_TRUE(has(open_error(hf), {config, "hidden", "32", "100"}));
    write_bytes(config, "[" + std::string(100'000, '['));
    EXPECT_TRUE(has(open_error(hf), {config, "nested"}));
    write_bytes(config, "{\"model_type\":\"gpt_oss\",\"model_type\":\"gpt_oss\"}");
    EXPECT_TRUE(has(open_error(hf), {config, "model_type", "twice"}));
    fs::remove(config);
    EXPECT_TRUE(has(open_error(hf), {hf, "config.json"}));
}

TEST_F(OpenModel, BiasesAndUnembeddingMayBeAbsent) {
    const TinyModel tiny("mxfp4", kOneLayer);
    const std::string file = tiny.path() + "/model.safetensors";
    SafetensorsParts parts(file);
    int n = 0;
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
        const std::string bias = fmt::format("model.layers.0.self_attn.{}.bias", name);
        parts.header[fmt::format("unused.{}", n++)] = parts.header[bias];
        parts.header.erase(bias);
    }
    parts.header["unused"] = parts.header["lm_head.weight"];
    parts.header.erase("lm_head.weight");
    parts.write(file);
    EXPECT_TRUE(has(open_error(tiny.path()), {"q_proj.bias"}));
    edit_json(tiny.path() + "/config.json", [](auto& j) { j["attention_bias"] = false; });
    EXPECT_TRUE(has(open_error(tiny.path()), {"lm_head.weight"}));
    edit_json(tiny.path() + "/config.json", [](auto& j) { j["tie_word_embeddings"] = true; });
    const Model model = open_model(tiny.path());
    EXPECT_EQ(model.gpt_oss().weights.layers[0].b_q.data, nullptr);
    EXPECT_EQ(model.gpt_oss().weights.layers[0].b_q[3], 0.0f);
    EXPECT_EQ(model.gpt_oss().weights.unembed.data, model.gpt_oss().weights.embed.data);

    // A kind that needs a bias gets zeros for one that is missing; in the other kinds it stays missing.
    export_to(model, directory.path("model.bin"), ExportKind::kContainer);
    EXPECT_EQ(open_model(directory.path("model.bin")).gpt_oss().weights.layers[0].b_o.data, nullptr);
    for (const ExportKind kind : {ExportKind::kOriginal, ExportKind::kLegacyF32}) {
        const std::string path = directory.path(kind == ExportKind::kOriginal ? "original" : "legacy");
        export_to(model, path, kind);
        const Model back = open_model(path);
        ASSERT_NE(back.gpt_oss().weights.layers[0].b_q.data, nullptr);
        for (int64_t i = 0; i < back.gpt_oss().weights.layers[0].b_q.n; i++)
            EXPECT_EQ(back.gpt_oss().weights.layers[0].b_q[i], 0.0f);
        EXPECT_EQ(back.gpt_oss().weights.unembed.at(5, 6), model.gpt_oss().weights.embed.at(5, 6));
    }
}

TEST_F(OpenModel, F32TensorsAreTakenAsTheyAre) {
    const TinyModel tiny("bf16", kOneLayer), narrow("bf16", kOneLayer);
    const std::string file = tiny.path() + "/model.safetensors";
    const SafetensorsParts parts(file);
    SafetensorsParts wide = parts;
    wide.data.clear();
    for (auto& [name, info] : wide.header.items()) {
        if (name == "__metadata__") continue;
        const size_t begin = info["data_offsets"][0], end = info["data_offsets"][1];
        info["dtype"] = "F32";
        info["data_offsets"] = {wide.data.size(), wide.data.size() + 2 * (end - begin)};
        for (size_t i = begin; i < end; i += 2) wide.data += std::string("\0\0", 2) + parts.data.substr(i, 2);
    }
    wide.write(file);
    const Model model = open_model(tiny.path());
    EXPECT_EQ(model.gpt_oss().weights.embed.dtype, DType::kF32);
    EXPECT_EQ(model.gpt_oss().weights.layers[0].w_up.first.dtype, DType::kF32);
    EXPECT_EQ(model.weight_bytes, 2 * narrow.model().weight_bytes);
    EXPECT_EQ(model.gpt_oss().weights.layers[0].w_up[2].at(3, 4),
              narrow.model().gpt_oss().weights.layers[0].w_up[2].at(3, 4));
}

TEST_F(OpenModel, MisalignedTensorsAreRefused) {
    const TinyModel tiny("mxfp4", kOneLayer);
    const std::string file = tiny.path() + "/model.safetensors";
    const SafetensorsParts parts(file);
    const std::string header = parts.header.dump();
    write_bytes(file, SafetensorsParts::join(header + std::string(header.size() % 2 + 1, ' '), parts.data));
    EXPECT_TRUE(has(open_error(tiny.path()), {file, "model.", "multiple of", "2-byte"}));
}

TEST_F(OpenModel, ScalesOf255AreFound) {
    for (const Checkpoint& c : checkpoints()) {
        if (c.path.find("dense") != std::string::npos) continue;
        const SafetensorsParts whole(c.tensors);
        for (const auto& [tensor, info] : whole.header.items()) {
            if (tensor.find("scales") == std::string::npos) continue;
            const size_t begin = info["data_offsets"][0], end = info["data_offsets"][1];
            for (const size_t where : {begin, (begin + end) / 2, end - 1}) {
                SafetensorsParts damaged(c.tensors);
                const char kept = damaged.data[where];
                damaged.data[where] = '\xff';
                damaged.write(c.tensors);
                const Model model = open_model(c.path);
                const int64_t per_expert = int64_t(end - begin) / 8;
                EXPECT_TRUE(
                    has(error_of([&] { check_scales(model); }),
                        {c.path, tensor, "NaN", fmt::format("expert {}", int64_t(where - begin) / per_expert)}));
                damaged.data[where] = kept;
                damaged.write(c.tensors);
            }
        }
    }
}

TEST_F(OpenModel, ContainerMetadataIsChecked) {
    const TinyModel tiny("mxfp4", kOneLayer);
    const std::string path = directory.path("model.bin");
    export_to(tiny.model(), path, ExportKind::kContainer);
    const SafetensorsParts whole(path);
    const auto error_with = [&](const char* key, const nlohmann::json& value) {
        SafetensorsParts damaged = whole;
        if (value.is_null())
            damaged.header["__metadata__"].erase(key);
        else
            damaged.header["__metadata__"][key] = value;
        damaged.write(path);
        return open_error(path);
    };
    EXPECT_TRUE(has(error_with("gptoss_container", "2"), {path, "version 1", "\"2\""}));
    EXPECT_TRUE(has(error_with("gptoss_container", nullptr), {path, "safetensors", "config"}));
    EXPECT_TRUE(has(error_with("gptoss_container", 1), {path, "string", "1"}));
    EXPECT_TRUE(has(error_with("config", nullptr), {path, "config", "nothing"}));
    EXPECT_TRUE(has(error_with("config", "{"), {path, "config", "JSON"}));
    EXPECT_TRUE(has(error_with("config", "{}"), {path, "config", "model_type"}));
    EXPECT_TRUE(has(error_with("generation_config", nullptr), {path, "generation_config"}));
    EXPECT_TRUE(has(error_with("generation_config", "[]"), {path, "generation_config", "object"}));
}

TEST_F(OpenModel, WhatIsNoCheckpoint) {
    const auto file = [&](const std::string& bytes) {
        write_bytes(directory.path("f"), bytes);
        return directory.path("f");
    };
    EXPECT_TRUE(has(open_error(directory.path("gone")), {"gone", "cannot open"}));
    EXPECT_TRUE(has(open_error(directory.path()), {directory.path(), "config.json"}));
    EXPECT_TRUE(has(open_error(file("")), {"f", "empty file"}));
    EXPECT_TRUE(has(open_error(file(std::string(5000, '\xff'))), {"f", "vocab_size"}));
    EXPECT_TRUE(has(open_error(file("{\"model_type\": \"gpt_oss\"} and more")), {"f"}));
    const TinyModel tiny("mxfp4", kOneLayer);
    fs::rename(tiny.path() + "/model.safetensors", directory.path("alone.safetensors"));
    EXPECT_TRUE(has(open_error(directory.path("alone.safetensors")), {"alone.safetensors", "config", "directory"}));
}

}  // namespace
