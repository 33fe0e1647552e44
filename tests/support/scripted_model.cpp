// scripted_model.cpp: weights that map the last eight tokens to the next one.
//
// Head r has constant queries and keys, and RoPE turns the keys so that it looks exactly r tokens back; its values are
// a random image of the token there. The residual stream is then a random code of the eight tokens, and the unembedding
// is the least-squares map from the codes that occur to what is to follow.
#include "support/scripted_model.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <stdexcept>

#include "bf16.h"
#include "harmony.h"
#include "model/safetensors.h"
#include "support/json.h"

namespace {

constexpr int kHeads = 8, kHeadDim = 64, kBack = kHeads - 1;  // one head is idle
constexpr int kInner = 32;                                    // of an MLP that adds nothing
constexpr double kTheta = 150000;
constexpr double kSharpness = 600;  // of a head's look at its token
constexpr double kLogit = 40;       // of the right token; all others are near 0
constexpr double kRidge = 0.01;     // against codes that are nearly the same

using Window = std::vector<int>;  // the last token first
using Vector = std::vector<float>;

float rounded(double value) {
    return to_f32(to_bf16(float(value)));
}

// Which token is to follow which window.
std::map<Window, int> windows_of(const std::vector<Script>& scripts) {
    const Tokenizer tokenizer = Tokenizer::open("demo/tokenizer.json");
    const HarmonyRenderer renderer(tokenizer);
    std::map<Window, int> next;
    for (const Script& script : scripts) {
        Message last;
        last.content = script.user;
        if (!script.tool.empty()) {
            last.role = Role::kTool;
            last.name = script.tool;
            last.recipient = "assistant";
            last.channel = "commentary";
        }
        std::vector<int> ids = renderer.render_prompt(Preamble{}, {last});
        const size_t n_prompt = ids.size();
        const std::vector<int> answer = tokenizer.encode_with_special(script.answer);
        ids.insert(ids.end(), answer.begin(), answer.end());
        ids.push_back(tokenizer.special("<|return|>").value());
        for (size_t i = n_prompt; i < ids.size(); i++) {
            Window window;
            for (size_t back = 1; back <= kBack + 1; back++) window.push_back(ids[i - back]);
            const auto [at, is_new] = next.emplace(window, ids[i]);
            if (!is_new && at->second != ids[i])
                throw std::logic_error("scripted model: it goes on in two ways after eight tokens: " + script.answer);
        }
    }
    return next;
}

class ScriptedWeights {
  public:
    ScriptedWeights(int vocab, const std::map<Window, int>& next)
        : vocab_(vocab), hidden_(std::max(256, (2 * int(next.size()) + 63) / 64 * 64)) {
        embedding_.resize(size_t(vocab_) * size_t(hidden_));
        for (float& x : embedding_) x = random_() & 1 ? 1.0f : -1.0f;
        fill(values_, kHeads * kHeadDim * hidden_, 1 / std::sqrt(hidden_));
        fill(outputs_, hidden_ * kHeads * kHeadDim, 0.5);
        for (int row = 0; row < hidden_; row++)  // the idle head
            for (int d = kBack * kHeadDim; d < kHeads * kHeadDim; d++)
                outputs_[size_t(row * kHeads * kHeadDim + d)] = 0;
        solve(next);
    }

    int hidden() const { return hidden_; }

    void write(const std::string& path) const {
        const int q_dim = kHeads * kHeadDim;
        const std::string layer = "model.layers.0.", mlp = layer + "mlp.", attention = layer + "self_attn.";
        std::vector<NamedTensorInfo> infos;
        std::string bytes;
        const auto add = [&](const std::string& name, const std::vector<int64_t>& shape, const Vector& data) {
            infos.push_back({name, "BF16", shape});
            for (const float x : data) {
                const bf16 value = to_bf16(x);
                bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
            }
        };
        const auto same = [&](const std::string& name, const std::vector<int64_t>& shape, float x) {
            size_t n = 1;
            for (const int64_t size : shape) n *= size_t(size);
            add(name, shape, Vector(n, x));
        };
        add("model.embed_tokens.weight", {vocab_, hidden_}, embedding_);
        add("lm_head.weight", {vocab_, hidden_}, unembedding_);
        same("model.norm.weight", {hidden_}, 1);
        same(layer + "input_layernorm.weight", {hidden_}, 1);
        same(layer + "post_attention_layernorm.weight", {hidden_}, 1);
        for (const char* name : {"q_proj", "k_proj"}) same(attention + name + ".weight", {q_dim, hidden_}, 0);
        add(attention + "q_proj.bias", {q_dim}, queries_or_keys(/*keys=*/false));
        add(attention + "k_proj.bias", {q_dim}, queries_or_keys(/*keys=*/true));
        add(attention + "v_proj.weight", {q_dim, hidden_}, values_);
        same(attention + "v_proj.bias", {q_dim}, 0);
        add(attention + "o_proj.weight", {hidden_, q_dim}, outputs_);
        same(attention + "o_proj.bias", {hidden_}, 0);
        same(attention + "sinks", {kHeads}, -100);
        same(mlp + "router.weight", {1, hidden_}, 0);
        same(mlp + "router.bias", {1}, 0);
        same(mlp + "experts.gate_up_proj", {1, hidden_, 2 * kInner}, 0);
        same(mlp + "experts.gate_up_proj_bias", {1, 2 * kInner}, 0);
        same(mlp + "experts.down_proj", {1, kInner, hidden_}, 0);
        same(mlp + "experts.down_proj_bias", {1, hidden_}, 0);
        std::ofstream(path, std::ios::binary) << safetensors_header(infos, {{"format", "pt"}}, 8) << bytes;
    }

  private:
    void fill(Vector& weights, int n, double scale) {
        weights.resize(size_t(n));
        for (float& x : weights) x = rounded(scale * std::sqrt(3) * (2 * (double(random_()) / 4294967295.0) - 1));
    }

    // Of head r, whose scores are greatest where the key is r + 1 positions before the query.
    static Vector queries_or_keys(bool keys) {
        Vector out(size_t(kHeads * kHeadDim));
        for (int r = 0; r < kHeads; r++)
            for (int i = 0; i < kHeadDim / 2; i++) {
                const double angle = (r + 1) * std::pow(kTheta, -2.0 * i / kHeadDim);
                float* const head = &out[size_t(r * kHeadDim)];
                head[i] = float(keys ? std::cos(angle) : kSharpness);
                head[i + kHeadDim / 2] = float(keys ? std::sin(angle) : 0);
            }
        return out;
    }

    // What the layer makes of eight tokens, after the last norm.
    std::vector<double> code(const Window& window) const {
        std::vector<double> sum(size_t(hidden_), 0.0);
        for (int d = 0; d < hidden_; d++) sum[size_t(d)] = token(window[0])[d];
        for (int r = 0; r < kBack; r++)
            for (int k = 0; k < kHeadDim; k++) {
                const float* const row = &values_[size_t((r * kHeadDim + k) * hidden_)];
                double value = 0;
                for (int d = 0; d < hidden_; d++) value += double(row[d]) * double(token(window[size_t(r) + 1])[d]);
                for (int d = 0; d < hidden_; d++)
                    sum[size_t(d)] += value * double(outputs_[size_t(d * kHeads * kHeadDim + r * kHeadDim + k)]);
            }
        double square = 0;
        for (const double x : sum) square += x * x;
        for (double& x : sum) x /= std::sqrt(square / hidden_ + 1e-5);
        return sum;
    }
    const float* token(int id) const { return &embedding_[size_t(id) * size_t(hidden_)]; }

    // Least squares by the normal equations: with A's columns the codes, rows of U are (A^T A + ridge)^-1 A^T, each
    // added to the row of the token that follows.
    void solve(const std::map<Window, int>& next) {
        std::vector<std::vector<double>> codes, gram;
        for (const auto& [window, id] : next) codes.push_back(code(window));
        const size_t n = codes.size();
        for (size_t i = 0; i < n; i++) {
            gram.emplace_back(n);
            for (size_t j = 0; j < n; j++)
                for (size_t d = 0; d < size_t(hidden_); d++) gram[i][j] += codes[i][d] * codes[j][d];
            gram[i][i] += kRidge;
        }
        for (size_t i = 0; i < n; i++)  // Gauss and Jordan; no pivoting, as the matrix is positive definite
            for (size_t j = 0; j < n; j++) {
                if (i == j) continue;
                const double factor = gram[j][i] / gram[i][i];
                for (size_t k = i; k < n; k++) gram[j][k] -= factor * gram[i][k];
                for (size_t d = 0; d < size_t(hidden_); d++) codes[j][d] -= factor * codes[i][d];
            }
        unembedding_.resize(embedding_.size());
        size_t i = 0;
        for (const auto& [window, id] : next) {
            for (size_t d = 0; d < size_t(hidden_); d++)
                unembedding_[size_t(id) * size_t(hidden_) + d] += float(kLogit * codes[i][d] / gram[i][i]);
            i++;
        }
    }

    const int vocab_, hidden_;
    std::mt19937 random_{1};
    Vector embedding_, values_, outputs_, unembedding_;  // (V, H), (heads * D, H), (H, heads * D), (V, H)
};

}  // namespace

void write_scripted_snapshot(const std::string& directory, const std::vector<Script>& scripts) {
    std::filesystem::create_directories(directory);
    nlohmann::ordered_json config;
    std::ifstream("demo/config.json") >> config;
    const ScriptedWeights weights(config["vocab_size"], windows_of(scripts));
    config.update({{"hidden_size", weights.hidden()},
                   {"intermediate_size", kInner},
                   {"num_hidden_layers", 1},
                   {"num_attention_heads", kHeads},
                   {"num_key_value_heads", kHeads},
                   {"head_dim", kHeadDim},
                   {"num_local_experts", 1},
                   {"num_experts_per_tok", 1},
                   {"experts_per_token", 1},
                   {"layer_types", {"full_attention"}},
                   {"rope_theta", kTheta}});
    config.erase("quantization_config");
    config.erase("rope_scaling");
    std::ofstream(directory + "/config.json") << config;
    weights.write(directory + "/model.safetensors");
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"})
        std::filesystem::copy_file(std::string("demo/") + name, directory + "/" + name);
}
