// test_not_finite.cpp: NaNs and infinities in weights, on every instruction set: the requests that meet them fail, each
// with one line that names the position; the others, before, beside and after them in the same memory, do not change.
#include <gtest/gtest.h>

#include <cstring>

#include "cpu/kernels.h"
#include "engine.h"
#include "getp.h"
#include "tiny_model.h"

namespace {

constexpr int kBadToken = 77;
constexpr uint16_t kNan = 0x7fc0, kInfinity = 0x7f80;  // bf16

struct Outcome {
    std::vector<int> tokens;
    std::string error;
    int n_logits = 0;
};

class OutcomeJob : public Job {
  public:
    OutcomeJob(Outcome& outcome, std::vector<int> ids, float temperature, bool score) : outcome_(outcome) {
        prompt = std::move(ids);
        sampling = {temperature, 0.9f, 3};
        max_new_tokens = score ? 0 : 6;
        want_logits = score;
    }
    bool on_token(int id) override {
        outcome_.tokens.push_back(id);
        return true;
    }
    void on_logits(int, const float*) override { outcome_.n_logits++; }
    void on_done(Finish) override {}
    void on_error(const std::string& why) override { outcome_.error = why; }

  private:
    Outcome& outcome_;
};

struct Asked {
    std::vector<int> ids;
    float temperature;
    bool score;
};

std::vector<Outcome> run(const Model& model, const EngineOptions& options, const std::vector<Asked>& asked) {
    Engine engine(model, options);
    std::vector<Outcome> outcomes(asked.size());
    size_t next = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (next == asked.size()) return nullptr;
        const Asked& a = asked[next];
        return std::make_unique<OutcomeJob>(outcomes[next++], a.ids, a.temperature, a.score);
    });
    return outcomes;
}

std::vector<EngineOptions> all_paths() {
    std::vector<EngineOptions> paths;
    for (const Kernels* kernels : available_kernels())
        for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
            EngineOptions options;
            options.max_sequences = 3;
            options.cpu_isa = kernels->flag;
            options.precision = precision;
            paths.push_back(options);
        }
    return paths;
}

std::string name(const EngineOptions& options) {
    return options.cpu_isa + (options.precision == Precision::kF32 ? ", f32" : ", bf16");
}

// `bits` in place of element `at` of a copy of a bf16 matrix's or vector's data.
template <class T>
std::vector<char> damaged(const T& tensor, int64_t n_elements, int64_t at, uint16_t bits) {
    EXPECT_EQ(tensor.dtype, DType::kBF16);
    std::vector<char> copy(static_cast<const char*>(tensor.data),
                           static_cast<const char*>(tensor.data) + 2 * n_elements);
    std::memcpy(copy.data() + 2 * at, &bits, 2);
    return copy;
}

// A token whose embedding is no number, among requests without it, three at a time: pages and slots change hands.
TEST(NotFinite, FailsTheRequestThatMeetsItAndNoOther) {
    const TinyModel tiny("mxfp4");
    Model model = tiny.model();
    const Matrix& embed = model.gpt_oss().weights.embed;
    const std::vector<char> data = damaged(embed, embed.n_out * embed.n_in, kBadToken * embed.n_in + 3, kNan);
    model.gpt_oss().weights.embed.data = data.data();

    std::vector<Asked> asked;
    std::vector<bool> bad;
    for (int i = 0; i < 24; i++) {
        std::vector<int> ids;
        for (int pos = 0; pos < 3 + i * 5 % 50; pos++) ids.push_back((pos * 13 + i) % 70);
        bad.push_back(i % 3 == 1);
        if (bad.back()) ids[ids.size() / 2] = kBadToken;
        asked.push_back({ids, i % 2 ? 1.0f : 0.0f, i % 4 == 3});
    }
    for (const EngineOptions& options : all_paths()) {
        SCOPED_TRACE(name(options));
        const std::vector<Outcome> got = run(model, options, asked), clean = run(tiny.model(), options, asked);
        for (size_t i = 0; i < asked.size(); i++) {
            SCOPED_TRACE(i);
            if (!bad[i]) {
                EXPECT_EQ(got[i].error, "");
                EXPECT_EQ(got[i].tokens, clean[i].tokens);
                EXPECT_EQ(got[i].n_logits, clean[i].n_logits);
                continue;
            }
            // Scores are lost from the token on, answers with the first one drawn.
            const size_t met = asked[i].score ? asked[i].ids.size() / 2 : asked[i].ids.size() - 1;
            EXPECT_EQ(got[i].error.find("position " + std::to_string(met) + ": the logits are not finite"), 0u)
                << got[i].error;
            EXPECT_TRUE(got[i].tokens.empty());
            EXPECT_EQ(got[i].n_logits, asked[i].score ? int(met) : 0);
        }
    }
}

// getp's warm-up asks for token 0, which the requests may do without.
TEST(NotFinite, StopsNoRunThatDoesNotMeetIt) {
    const TinyModel tiny("mxfp4");
    Model model = tiny.model();
    const Matrix& embed = model.gpt_oss().weights.embed;
    const std::vector<char> data = damaged(embed, embed.n_out * embed.n_in, 0, kNan);
    model.gpt_oss().weights.embed.data = data.data();
    GetpRun run = warm_up(model, {});
    EXPECT_NE(run.engine, nullptr);
}

// One element of a weight that every token meets: no path makes a number of it on the way.
TEST(NotFinite, NoPathMakesANumberOfIt) {
    const TinyModel tiny("mxfp4");
    const LayerWeights& layer = tiny.model().gpt_oss().weights.layers[0];
    const auto with_vector = [&](Vector LayerWeights::*member, uint16_t bits, std::vector<char>& data) {
        Model model = tiny.model();
        const Vector& v = layer.*member;
        data = damaged(v, v.n, 0, bits);
        (model.gpt_oss().weights.layers[0].*member).data = data.data();
        return model;
    };
    const auto with_matrix = [&](Matrix LayerWeights::*member, uint16_t bits, std::vector<char>& data) {
        Model model = tiny.model();
        const Matrix& m = layer.*member;
        data = damaged(m, m.n_out * m.n_in, 0, bits);
        (model.gpt_oss().weights.layers[0].*member).data = data.data();
        return model;
    };
    std::vector<char> data;
    const std::vector<Asked> asked{{{1, 2, 3}, 0, false}, {{1, 2, 3}, 1, false}, {{5, 6}, 0, true}};
    const auto expect_all_fail = [&](const Model& model, const char* what) {
        for (const EngineOptions& options : all_paths())
            for (const Outcome& outcome : run(model, options, asked)) {
                EXPECT_NE(outcome.error.find("not finite"), std::string::npos) << what << ", " << name(options);
                EXPECT_TRUE(outcome.tokens.empty()) << what << ", " << name(options);
            }
    };
    expect_all_fail(with_vector(&LayerWeights::sinks, kNan, data), "a sink");
    expect_all_fail(with_vector(&LayerWeights::b_q, kNan, data), "a query");
    expect_all_fail(with_vector(&LayerWeights::b_k, kNan, data), "a key");
    expect_all_fail(with_vector(&LayerWeights::b_v, kInfinity, data), "a value");
    expect_all_fail(with_vector(&LayerWeights::b_o, kInfinity, data), "the residual");
    expect_all_fail(with_matrix(&LayerWeights::w_k, kNan, data), "w_k");
    expect_all_fail(with_vector(&LayerWeights::g_mlp, kNan, data), "the experts' input");

    // Biases of all experts, in the gate and in the linear half.
    for (const int64_t at : {0, 1}) {
        Model model = tiny.model();
        const int64_t stride = 2 * model.gpt_oss().config.intermediate_dim;
        data = damaged(layer.b_up, layer.b_up.n, at, kNan);
        for (int e = 1; e < model.gpt_oss().config.n_experts; e++)
            std::memcpy(&data[size_t(2 * (e * stride + at))], &kNan, 2);
        model.gpt_oss().weights.layers[0].b_up.data = data.data();
        expect_all_fail(model, "inside the experts");
    }
}

}  // namespace
