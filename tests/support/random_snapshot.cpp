// random_snapshot.cpp: config.json, tensors and tokenizer of the snapshot, written one tensor at a time.
#include "support/random_snapshot.h"

#include <cmath>
#include <filesystem>
#include <functional>

#include "base/staged_output.h"
#include "error.h"
#include "model.h"
#include "model/safetensors.h"
#include "model/tensor.h"
#include "support/byte_tokenizer.h"
#include "support/json.h"
#include "support/numpy_random.h"

namespace {

class RandomSnapshot {
  public:
    // Throws Error.
    explicit RandomSnapshot(const SnapshotSpec& spec) : spec_(spec), config_(make_config(spec)) {
        if (has_tokenizer() && config_["vocab_size"] < kByteVocab)
            fail("vocab_size: expected at least {}, the tokenizer's, found {}", kByteVocab,
                 config_["vocab_size"].dump());
        add_all();
    }

    // Writes into `directory`, which is made if it is not there. Throws Error.
    void write(const std::string& directory) const {
        std::filesystem::create_directories(directory);
        write_tensors(directory);
        if (has_tokenizer()) write_tokenizer(directory);
        write_text(directory + "/config.json", config_.dump(2));
    }

  private:
    using Json = nlohmann::ordered_json;

    struct Tensor {
        NamedTensorInfo info;
        int64_t bytes;
        std::function<void(AtomicFile&)> write;
    };

    // The bytes of the raw numbers, lowest first.
    class Bytes {
      public:
        Bytes(uint32_t seed, const std::string& key) : random_(seed, key) {}
        uint8_t next() {
            if (left_ == 0) word_ = random_.next(), left_ = 8;
            const uint8_t byte = uint8_t(word_);
            word_ >>= 8;
            left_--;
            return byte;
        }

      private:
        NumpyRandom random_;
        uint64_t word_ = 0;
        int left_ = 0;
    };

    bool has_tokenizer() const { return spec_.tokenizer || spec_.preset == "demo"; }

    // What all presets share.
    static Json common_config() {
        return {
            {"architectures", {"GptOssForCausalLM"}},
            {"model_type", "gpt_oss"},
            {"attention_bias", true},
            {"attention_dropout", 0.0},
            {"hidden_act", "silu"},
            {"rms_norm_eps", 1e-5},
            {"rope_theta", 150000},
            {"tie_word_embeddings", false},
            {"use_cache", true},
            {"swiglu_limit", 7.0},
            {"initial_context_length", 4096},
            {"max_position_embeddings", 131072},
            {"rope_scaling",
             {{"beta_fast", 32.0},
              {"beta_slow", 1.0},
              {"factor", 32.0},
              {"original_max_position_embeddings", 4096},
              {"rope_type", "yarn"},
              {"truncate", false}}},
            {"router_aux_loss_coef", 0.9},
            {"output_router_logits", false},
            {"torch_dtype", "bfloat16"},
            {"num_experts_per_tok", 4},
            {"experts_per_token", 4},
            {"head_dim", 64},
            {"sliding_window", 128},
        };
    }

    static Json preset_config(const std::string& preset) {
        Json config = common_config();
        const auto set = [&](const Json& values) { config.update(values); };
        if (preset == "20b" || preset == "120b") {
            const bool large = preset == "120b";
            set({{"hidden_size", 2880},
                 {"intermediate_size", 2880},
                 {"num_hidden_layers", large ? 36 : 24},
                 {"num_attention_heads", 64},
                 {"num_key_value_heads", 8},
                 {"num_local_experts", large ? 128 : 32},
                 {"vocab_size", 201088},
                 {"eos_token_id", 200002},
                 {"pad_token_id", 199999}});
        } else if (preset == "tiny") {  // every dimension differs from every other, so that a swapped one shows
            set({{"hidden_size", 128},
                 {"intermediate_size", 96},
                 {"num_hidden_layers", 4},
                 {"num_attention_heads", 6},
                 {"num_key_value_heads", 2},
                 {"num_local_experts", 8},
                 {"vocab_size", 1003},
                 {"sliding_window", 16},
                 {"eos_token_id", 1002},
                 {"pad_token_id", 1001}});
        } else if (preset == "demo") {
            set({{"hidden_size", 64},
                 {"intermediate_size", 96},
                 {"num_hidden_layers", 4},
                 {"num_attention_heads", 4},
                 {"num_key_value_heads", 2},
                 {"head_dim", 32},
                 {"num_local_experts", 8},
                 {"vocab_size", 272},
                 {"sliding_window", 32},
                 {"max_position_embeddings", 8192},
                 {"eos_token_id", byte_special("<|return|>")},
                 {"pad_token_id", byte_special("<|endoftext|>")}});
            config["rope_scaling"]["factor"] = 2.0;
        } else {
            fail("preset: expected tiny, demo, 20b or 120b, found {}", preset);
        }
        return config;
    }

    static Json make_config(const SnapshotSpec& spec) {
        Json config = preset_config(spec.preset);
        for (const std::string& setting : spec.settings) {
            const size_t equals = setting.find('=');
            if (equals == std::string::npos) fail("setting: expected key=JSON, found {}", setting);
            const std::string key = setting.substr(0, equals), text = setting.substr(equals + 1);
            if (!Json::accept(text)) fail("setting: {}: expected JSON, found {}", key, text);
            const size_t dot = key.find('.');
            (dot == std::string::npos ? config[key] : config[key.substr(0, dot)][key.substr(dot + 1)]) =
                ordered_json_of(text);
        }
        config["experts_per_token"] = config["num_experts_per_tok"];
        Json layer_types = Json::array();
        for (int l = 0; l < config["num_hidden_layers"].get<int>(); l++)
            layer_types.push_back(l % 2 == 0 ? "sliding_attention" : "full_attention");
        config["layer_types"] = layer_types;
        if (spec.format == "mxfp4")
            config["quantization_config"] = {
                {"quant_method", "mxfp4"},
                {"modules_to_not_convert",
                 {"model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"}}};
        else if (spec.format != "bf16")
            fail("format: expected mxfp4 or bf16, found {}", spec.format);
        return config;
    }

    void add_all() {
        const auto size = [&](const char* key) { return config_.at(key).get<int64_t>(); };
        const int64_t dim = size("hidden_size"), ffn = size("intermediate_size"), vocab = size("vocab_size");
        const int64_t q_dim = size("num_attention_heads") * size("head_dim");
        const int64_t kv_dim = size("num_key_value_heads") * size("head_dim");
        n_experts_ = size("num_local_experts");
        if (dim % kMxBlock != 0 || ffn % kMxBlock != 0)
            fail("hidden_size, intermediate_size: expected multiples of {}, found {} and {}", kMxBlock, dim, ffn);

        const double dim_std = std::pow(double(dim), -0.5), q_std = std::pow(double(q_dim), -0.5);
        normal("model.embed_tokens.weight", {vocab, dim}, 1.0, 0, "model.embed_tokens.weight");
        for (int64_t l = 0; l < size("num_hidden_layers"); l++) {
            const std::string p = fmt::format("model.layers.{}.", l);
            const std::string k = fmt::format("model.layers.{}.", spec_.shared_layers ? l % 2 : l);
            normal(p + "input_layernorm.weight", {dim}, 0.2, 1, k + "in");
            for (const char* name : {"q", "k", "v"}) {
                const int64_t rows = *name == 'q' ? q_dim : kv_dim;
                const std::string projection = p + "self_attn." + name + "_proj.";
                normal(projection + "weight", {rows, dim}, dim_std * (*name == 'v' ? 1.0 : 1.5), 0, k + name);
                normal(projection + "bias", {rows}, 0.3, 0, k + name + "b");
            }
            normal(p + "self_attn.o_proj.weight", {dim, q_dim}, q_std, 0, k + "o");
            normal(p + "self_attn.o_proj.bias", {dim}, 0.1, 0, k + "ob");
            normal(p + "self_attn.sinks", {size("num_attention_heads")}, 1.0, 0.5, k + "sinks");
            normal(p + "post_attention_layernorm.weight", {dim}, 0.2, 1, k + "post");
            normal(p + "mlp.router.weight", {n_experts_, dim}, 2.0 * dim_std, 0, k + "router");
            normal(p + "mlp.router.bias", {n_experts_}, 0.3, 0, k + "routerb");
            experts(p + "mlp.experts.gate_up_proj", k + "gate_up", 2 * ffn, dim);
            experts(p + "mlp.experts.down_proj", k + "down", dim, ffn);
        }
        normal("model.norm.weight", {dim}, 0.2, 1, "model.norm.weight");
        normal("lm_head.weight", {vocab, dim}, 2.0 * dim_std, 0, "lm_head.weight");
    }

    void add(const std::string& name, const char* dtype, const std::vector<int64_t>& shape,
             std::function<void(AtomicFile&)> write) {
        tensors_.push_back({{name, dtype, shape}, tensor_bytes(dtype, shape, name), std::move(write)});
    }

    // Sums of four uniform numbers, scaled to `std`. Every operation is rounded to f32, as numpy does it.
    void normal(const std::string& name, const std::vector<int64_t>& shape, double std, double mean,
                const std::string& key) {
        const int64_t n = tensor_bytes("U8", shape, name);
        add(name, "BF16", shape, [=, seed = spec_.seed](AtomicFile& file) {
            NumpyRandom random(seed, key);
            const float scale = float(65535.0 * std::pow(4 / 12.0, 0.5));
            write_runs<bf16>(file, n, [&] {
                const uint64_t word = random.next();
                const uint64_t sum = (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48);
                return to_bf16(float(mean) + float(std) * ((float(sum) - 2 * 65535.0f) / scale));
            });
        });
    }

    void experts(const std::string& name, const std::string& key, int64_t rows, int64_t cols) {
        const int64_t n_experts = n_experts_, n_blocks = cols / kMxBlock;
        // An E2M1 code drawn evenly has a standard deviation of about 3, hence this mean scale; half, one or two times
        // it.
        const int base = 127 + int(std::nearbyint(std::log2(1.0 / (3.0 * std::pow(double(cols), 0.5)))));
        const auto scale = [base](Bytes& bytes) { return uint8_t(base - 1 + bytes.next() % 3); };
        const uint32_t seed = spec_.seed;
        if (spec_.format == "mxfp4") {
            add(name + "_blocks", "U8", {n_experts, rows, n_blocks, kMxBlockBytes}, [=](AtomicFile& file) {
                Bytes bytes(seed, key + "_blocks");
                write_runs<uint8_t>(file, n_experts * rows * n_blocks * kMxBlockBytes, [&] { return bytes.next(); });
            });
            add(name + "_scales", "U8", {n_experts, rows, n_blocks}, [=](AtomicFile& file) {
                Bytes bytes(seed, key + "_scales");
                write_runs<uint8_t>(file, n_experts * rows * n_blocks, [&] { return scale(bytes); });
            });
        } else {
            add(name, "BF16", {n_experts, cols, rows}, [=](AtomicFile& file) {  // transposed
                Bytes block_bytes(seed, key + "_blocks"), scale_bytes(seed, key + "_scales");
                std::vector<uint8_t> codes(size_t(rows * cols / 2)), scales(size_t(rows * n_blocks));
                std::vector<float> values(size_t(rows * cols));
                const Matrix expert{DType::kMXFP4, false, rows, cols, codes.data(), scales.data()};
                for (int64_t e = 0; e < n_experts; e++) {
                    for (uint8_t& byte : codes) byte = block_bytes.next();
                    for (uint8_t& s : scales) s = scale(scale_bytes);
                    decode(expert, 0, rows, 0, cols, values.data(), 1, rows);
                    write_runs<bf16>(file, rows * cols, [p = values.data()]() mutable { return to_bf16(*p++); });
                }
            });
        }
        normal(name + "_bias", {n_experts, rows}, 0.1, 0, key + "_bias");
    }

    // Calls make(n) for runs of at most 2^20 values and writes them.
    template <class T, class Make>
    static void write_runs(AtomicFile& file, int64_t n_values, Make make) {
        std::vector<T> run;
        for (int64_t begin = 0; begin < n_values; begin += int64_t(run.size())) {
            run.resize(size_t(std::min(n_values - begin, int64_t(1) << 20)));
            for (T& value : run) value = make();
            file.write(run.data(), int64_t(run.size() * sizeof(T)));
        }
    }

    // In files of about equal size, as many as asked for.
    void write_tensors(const std::string& directory) const {
        int64_t total = 0;
        for (const Tensor& tensor : tensors_) total += tensor.bytes;
        std::vector<std::vector<const Tensor*>> shards(1);
        int64_t size = 0;
        for (const Tensor& tensor : tensors_) {
            const bool full = double(size + tensor.bytes) > double(total) / spec_.shards;
            if (full && int(shards.size()) < spec_.shards && !shards.back().empty()) shards.emplace_back(), size = 0;
            size += tensor.bytes;
            shards.back().push_back(&tensor);
        }

        Json weight_map = Json::object();
        for (size_t i = 0; i < shards.size(); i++) {
            const std::string name = shards.size() == 1
                                         ? "model.safetensors"
                                         : fmt::format("model-{:05}-of-{:05}.safetensors", i, shards.size());
            std::vector<NamedTensorInfo> infos;
            for (const Tensor* tensor : shards[i]) {
                infos.push_back(tensor->info);
                weight_map[tensor->info.name] = name;
            }
            AtomicFile file(directory + "/" + name);
            file.write(safetensors_header(infos, {{"format", "pt"}}, 8));
            for (const Tensor* tensor : shards[i]) tensor->write(file);
            file.commit();
        }
        if (shards.size() > 1) {
            const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
            write_text(directory + "/model.safetensors.index.json", index.dump(1));
        }
    }

    void write_tokenizer(const std::string& directory) const {
        const std::vector<int> stops = {byte_special("<|return|>"), byte_special("<|endoftext|>"),
                                        byte_special("<|call|>")};
        write_text(directory + "/tokenizer.json", byte_tokenizer_json());
        write_text(directory + "/generation_config.json", Json({{"bos_token_id", byte_special("<|startoftext|>")},
                                                                {"do_sample", false},
                                                                {"eos_token_id", stops},
                                                                {"pad_token_id", byte_special("<|endoftext|>")}})
                                                              .dump(2));
    }

    static void write_text(const std::string& path, const std::string& text) {
        AtomicFile file(path);
        file.write(text);
        file.commit();
    }

    SnapshotSpec spec_;
    Json config_;
    int64_t n_experts_ = 0;
    std::vector<Tensor> tensors_;
};

}  // namespace

void write_random_snapshot(const std::string& directory, const SnapshotSpec& spec) {
    RandomSnapshot(spec).write(directory);
}
