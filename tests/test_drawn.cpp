// test_drawn.cpp: requests that ask for more than temperature, top-p and top-k, on the CPU; and several answers to one
// prompt, which is read once.
#include "requests.h"
#include "support/drawn_checks.h"
#include "tiny_model.h"

namespace {

EngineOptions cpu_options(int max_sequences) {
    EngineOptions options;
    options.max_sequences = max_sequences;
    options.max_request_positions = 1000;
    return options;
}

TEST(Drawn, IsWhatTheSamplerDrawsFromTheLogits) {
    const TinyModel tiny("mxfp4");
    expect_drawn_from_own_logits(tiny.model(), cpu_options(8), 12);
}

TEST(Drawn, NeighboursDoNotNotice) {
    const TinyModel tiny("mxfp4");
    expect_unnoticed(tiny.model(), cpu_options(8), 6, 12);
}

TEST(Drawn, ByThePlainReferenceToo) {
    const TinyModel tiny("mxfp4");
    EngineOptions options = cpu_options(8);
    options.reference = true;
    expect_drawn_from_own_logits(tiny.model(), options, 4);
}

// All answers to a prompt share its pages: the first reads it, the others find it.
TEST(Choices, ReadTheirPromptOnce) {
    const TinyModel tiny("mxfp4");
    const int v = tiny.model().common().vocab_size;
    struct Sink : ResultSink {
        void on_answers(const Request&, std::vector<Answer> a) override { answers = std::move(a); }
        std::vector<Answer> answers;
    };
    Request request;
    request.kind = AnswerKind::kTokens;
    request.n = 5;
    request.max_new_tokens = 6;
    request.sampling = {1, 1, 3};
    for (int i = 0; i < 300; i++) request.prompt.push_back((7919 * i) % v);
    const TextCodec none("none");
    const auto answers = [&](const Request& r, Engine& engine) {
        Sink sink;
        auto jobs = make_jobs(r, none, sink);
        size_t next = 0;
        engine.run([&]() -> std::unique_ptr<Job> { return next < jobs.size() ? std::move(jobs[next++]) : nullptr; });
        return sink.answers;
    };
    Engine engine(tiny.model(), cpu_options(8));
    const std::vector<Answer> together = answers(request, engine);
    ASSERT_EQ(together.size(), 5u);
    EXPECT_EQ(engine.stats().reused_tokens, 4 * 288) << "all whole pages of the prompt";
    for (int i = 0; i < 5; i++) {
        Request one = request;
        one.n = 1;
        one.sampling.seed = 3 + uint64_t(i);
        Engine fresh(tiny.model(), cpu_options(8));
        EXPECT_EQ(answers(one, fresh).at(0).ids, together[size_t(i)].ids) << i;
    }
    EXPECT_NE(together[0].ids, together[1].ids);
}

}  // namespace
