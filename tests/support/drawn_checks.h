// drawn_checks.h: requests that ask for more than temperature, top-p and top-k, beside others that do not: what they
// draw must be what the sampler draws from the device's own logits, and the others must not notice.
#pragma once
#include <algorithm>

#include "sampler.h"
#include "support/forward_checks.h"

struct Drawn : Generated {
    std::vector<TokenLogprobs> logprobs;
};

// After an even token only some may come.
inline std::shared_ptr<const std::vector<int>> after_even(int last) {
    if (last % 2 != 0) return nullptr;
    return std::make_shared<const std::vector<int>>(last % 4 == 0 ? std::vector<int>{9} : std::vector<int>{4, 7, 11});
}

class DrawingJob : public ScoredJob {
  public:
    DrawingJob(Drawn& answer, std::vector<int> ids, int max_new, int vocab_size, const Sampling& how, bool constrained)
        : ScoredJob(answer, std::move(ids), max_new, vocab_size), answer_(answer), constrained_(constrained) {
        sampling = how;
        want_logits = false;
    }
    std::shared_ptr<const std::vector<int>> allowed() const override {
        if (!constrained_ || answer_.tokens.empty()) return nullptr;
        return after_even(answer_.tokens.back());
    }
    void on_logprobs(const TokenLogprobs& logprobs) override { answer_.logprobs.push_back(logprobs); }

  private:
    Drawn& answer_;
    const bool constrained_;
};

struct DrawCase {
    const char* name;
    Sampling sampling;
    bool constrained = false;
};

// One for each field, greedy and drawn.
inline std::vector<DrawCase> draw_cases() {
    std::vector<DrawCase> cases;
    const auto add = [&](const char* name, auto change, bool constrained = false) {
        for (const float temperature : {0.0f, 0.8f}) {
            DrawCase c{name, Sampling{temperature, 0.95f, 11 + cases.size()}, constrained};
            change(c.sampling);
            cases.push_back(c);
        }
    };
    add("repetition", [](Sampling& s) { s.repetition_penalty = 1.7f; });
    add("presence", [](Sampling& s) { s.presence_penalty = 1.5f; });
    add("frequency", [](Sampling& s) { s.frequency_penalty = -0.8f; });
    add("min_p", [](Sampling& s) { s.min_p = 0.3f; });
    add("bias", [](Sampling& s) {
        s.bias = std::make_shared<const std::vector<TokenBias>>(std::vector<TokenBias>{{5, 100}, {6, 99.5f}});
    });
    add("logprobs", [](Sampling& s) { s.n_logprobs = 3; });
    add(
        "constrained", [](Sampling&) {}, /*constrained=*/true);
    add(
        "all",
        [](Sampling& s) {
            s.repetition_penalty = 1.2f;
            s.presence_penalty = 0.5f;
            s.top_k = 20;
            s.n_logprobs = 2;
        },
        /*constrained=*/true);
    return cases;
}

inline std::vector<int> draw_prompt(size_t i, int vocab_size) {
    std::vector<int> ids;
    for (int t = 0; t < 5 + 13 * int(i % 6); t++) ids.push_back((7919 * t + 31 * int(i)) % vocab_size);
    return ids;
}

// `n_plain` requests that ask for nothing special, with those of the cases between them if `with_cases`.
inline void draw(const Model& model, const EngineOptions& options, size_t n_plain, bool with_cases, int n_new,
                 std::vector<Drawn>& plain, std::vector<Drawn>& special) {
    const std::vector<DrawCase> cases = draw_cases();
    const int v = model.common().vocab_size;
    plain.resize(n_plain);
    special.resize(with_cases ? cases.size() : 0);
    Engine engine(model, options);
    size_t next_plain = 0, next_special = 0;
    engine.run([&]() -> std::unique_ptr<Job> {
        if (next_special < special.size() && (next_special <= next_plain || next_plain == n_plain)) {
            const size_t i = next_special++;
            return std::make_unique<DrawingJob>(special[i], draw_prompt(i, v), n_new, v, cases[i].sampling,
                                                cases[i].constrained);
        }
        if (next_plain == n_plain) return nullptr;
        const size_t i = next_plain++;
        return std::make_unique<DrawingJob>(plain[i], draw_prompt(i + 50, v), n_new, v,
                                            Sampling{i % 2 ? 0.9f : 0, 0.9f, i}, false);
    });
}

// What each case draws is what sample_token() draws from the logits that the same device gives for the same text.
inline void expect_drawn_from_own_logits(const Model& model, const EngineOptions& options, int n_new) {
    const std::vector<DrawCase> cases = draw_cases();
    const int v = model.common().vocab_size;
    std::vector<Drawn> plain, special;
    draw(model, options, 4, true, n_new, plain, special);
    const auto scored = run_jobs(model, options, cases.size(), [&](size_t i, Generated& answer) {
        std::vector<int> ids = draw_prompt(i, v);
        ids.insert(ids.end(), special[i].tokens.begin(), special[i].tokens.end());
        return std::make_unique<ScoredJob>(answer, ids, 0, v);
    });
    for (size_t i = 0; i < cases.size(); i++) {
        SCOPED_TRACE(cases[i].name);
        const int n_prompt = int(draw_prompt(i, v).size());
        std::vector<int> text = draw_prompt(i, v);
        ASSERT_EQ(int(special[i].tokens.size()), n_new) << special[i].error;
        for (int t = 0; t < n_new; t++) {
            const int pos = n_prompt + t - 1;
            const float* const logits = scored[i].logits[size_t(pos)].data();
            Sampling sampling = cases[i].sampling;
            if (cases[i].constrained && t > 0) sampling.allowed = after_even(text.back());
            const int token = special[i].tokens[size_t(t)];
            // The device's own sampler may differ where a number lies within rounding of another.
            if (!sampling.is_plain()) {
                ASSERT_EQ(token, sample_token(logits, v, sampling, uint64_t(pos), {text.data(), n_prompt})) << t;
            }
            if (sampling.n_logprobs >= 0) {
                const TokenLogprobs want = logprobs_of(logits, v, token, sampling.n_logprobs);
                const TokenLogprobs& got = special[i].logprobs.at(size_t(t));
                EXPECT_EQ(got.drawn.id, token);
                EXPECT_EQ(got.drawn.logprob, want.drawn.logprob);
                ASSERT_EQ(got.top.size(), want.top.size());
                for (size_t k = 0; k < want.top.size(); k++) EXPECT_EQ(got.top[k].id, want.top[k].id);
            }
            text.push_back(token);
        }
    }
}

// To ask for log-probabilities changes no token, nor do such rows change a neighbour's.
inline void expect_unnoticed(const Model& model, const EngineOptions& options, size_t n_plain, int n_new) {
    std::vector<Drawn> alone, none, beside, special;
    draw(model, options, n_plain, false, n_new, alone, none);
    draw(model, options, n_plain, true, n_new, beside, special);
    for (size_t i = 0; i < n_plain; i++) EXPECT_EQ(beside[i].tokens, alone[i].tokens) << i;

    const int v = model.common().vocab_size;
    for (size_t i = 0; i < draw_cases().size(); i++) {
        Sampling sampling = draw_cases()[i].sampling;
        if (!sampling.is_plain() || draw_cases()[i].constrained) continue;
        sampling.n_logprobs = -1;
        Drawn quiet;
        Engine engine(model, options);
        bool given = false;
        engine.run([&]() -> std::unique_ptr<Job> {
            if (std::exchange(given, true)) return nullptr;
            return std::make_unique<DrawingJob>(quiet, draw_prompt(i, v), n_new, v, sampling, false);
        });
        EXPECT_EQ(special[i].tokens, quiet.tokens) << draw_cases()[i].name;
    }
}
