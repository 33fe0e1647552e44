// test_engine_faults.cpp: replicas that fail, or never come back from a step: others go on with their jobs, each job
// sees every token once, and if no replica is left, there is one error.
#include <gtest/gtest.h>

#include <thread>

#include "engine_fakes.h"

namespace {

TEST(EngineFaults, AReplicaThatFailsLeavesItsJobsToTheOthers) {
    for (const int n_replicas : {2, 3})
        for (int step = 0; step < 24; step++) {
            std::vector<FakeReplica::BeforeStep> steps(static_cast<size_t>(n_replicas));
            steps[0] = fail_at(step);
            Engine engine(fake_config(), replicas(steps, step % 4));
            std::vector<Fate> fates(40);
            testing::internal::CaptureStderr();
            run_all(engine, fates);
            testing::internal::GetCapturedStderr();
            expect_all_answered(fates, "step " + std::to_string(step));
        }
}

TEST(EngineFaults, ManyFailuresOneAfterTheOther) {
    std::vector<FakeReplica::BeforeStep> steps;
    for (int i = 0; i < 7; i++) steps.push_back(fail_at(i));
    steps.emplace_back();
    Engine engine(fake_config(), replicas(std::move(steps)));
    std::vector<Fate> fates(200);
    testing::internal::CaptureStderr();
    run_all(engine, fates);
    testing::internal::GetCapturedStderr();
    expect_all_answered(fates, "7 of 8 failed or were never asked");
}

TEST(EngineFaults, AnIdleReplicaWaitsForWhatMayComeBack) {
    Gate other_is_idle;
    std::atomic<int> n_other_steps{0};
    Engine engine(fake_config(), replicas({[&](int step, const Batch&) {
                                               if (step > 0) return;
                                               other_is_idle.wait();
                                               throw std::runtime_error("device error");
                                           },
                                           [&](int, const Batch&) { n_other_steps++; }}));
    std::vector<Fate> fates(1);
    // Whichever replica takes the one job: if it is the first, it fails when the other has long seen the closed source.
    std::thread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        other_is_idle.open();
    });
    testing::internal::CaptureStderr();
    run_all(engine, fates);
    testing::internal::GetCapturedStderr();
    later.join();
    expect_all_answered(fates, "closed");
}

TEST(EngineFaults, WithoutAnyReplicaLeftThereIsOneError) {
    Engine engine(fake_config(), replicas({fail_at(18), fail_at(15)}));
    std::vector<Fate> fates(40);
    testing::internal::CaptureStderr();
    try {
        run_all(engine, fates);
        FAIL() << "no error";
    } catch (const EngineFailure& e) {
        EXPECT_STREQ(e.what(), "device error");
    }
    testing::internal::GetCapturedStderr();
    int n_answered = 0, n_cancelled = 0;
    for (const Fate& fate : fates) {
        EXPECT_LE(fate.n_ends, 1);
        n_answered += fate.n_ends && fate.finish != Finish::kCancelled;
        n_cancelled += fate.n_ends && fate.finish == Finish::kCancelled;
    }
    EXPECT_GT(n_answered, 0) << "before it happened";
    EXPECT_GT(n_cancelled, 0);
    EXPECT_THROW(run_all(engine, fates), EngineFailure) << "nor does it come back";
}

TEST(EngineFaults, FailureInterruptsASourceThatWaits) {
    Gate interrupted;
    Engine engine(fake_config(), replicas({fail_at(0)}));
    Fate fate;
    int n = 0;
    const auto next = [&]() -> std::unique_ptr<Job> {
        if (n++ == 0) return std::make_unique<FakeJob>(fate, 3, 3);
        interrupted.wait();
        return nullptr;
    };
    EXPECT_THROW(engine.run(next, [&] { interrupted.open(); }), EngineFailure);
    EXPECT_EQ(fate.finish, Finish::kCancelled);
}

// A replica that stops at step `at`, in submit or in collect, until the gate opens: too late for anybody.
class StoppingReplica : public FakeReplica {
  public:
    StoppingReplica(std::shared_ptr<Gate> gate, int at, bool in_submit, int chain)
        : FakeReplica({}, chain), capacity_(FakeReplica::capacity()), gate_(std::move(gate)) {
        capacity_.step_limit_s = 0.02;
        (in_submit ? until_submit_ : until_collect_) = at;
    }
    const Capacity& capacity() const override { return capacity_; }
    void submit(const Batch& batch) override {
        if (until_submit_-- == 0) gate_->wait();
        FakeReplica::submit(batch);
    }
    void collect(StepResult& result) override {
        if (until_collect_-- == 0) gate_->wait();
        FakeReplica::collect(result);
    }

  private:
    Capacity capacity_;
    const std::shared_ptr<Gate> gate_;
    int until_submit_ = -1, until_collect_ = -1;
};

std::vector<std::unique_ptr<Replica>> one_that_stops(const std::shared_ptr<Gate>& gate, int at, bool in_submit,
                                                     int chain) {
    std::vector<std::unique_ptr<Replica>> all;
    all.push_back(std::make_unique<StoppingReplica>(gate, at, in_submit, chain));
    return all;
}

// The other takes its time, so that the one that has stopped is looked at again and again.
TEST(EngineFaults, AReplicaThatStopsLeavesItsJobsToTheOthers) {
    for (const bool in_submit : {false, true})
        for (const int step : {0, 1, 5, 12}) {
            const int chain = step % 4;
            const auto gate = std::make_shared<Gate>();
            auto two = one_that_stops(gate, step, in_submit, chain);
            two.push_back(std::make_unique<FakeReplica>(
                [](int, const Batch&) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }, chain));
            std::vector<Fate> fates(60);
            {
                Engine engine(fake_config(), std::move(two));
                testing::internal::CaptureStderr();
                run_all(engine, fates);
                testing::internal::GetCapturedStderr();
                if (step % 2 == 0) gate->open();  // the thread comes back while there is an engine
            }
            gate->open();  // or when there is none any more
            expect_all_answered(fates, "step " + std::to_string(step));
        }
}

TEST(EngineFaults, WhereAllStopThereIsOneErrorAndNobodyWaits) {
    const auto gate = std::make_shared<Gate>();
    Gate interrupted;
    Fate fate;
    {
        Engine engine(fake_config(), one_that_stops(gate, 3, false, 1));
        int n = 0;
        const auto next = [&]() -> std::unique_ptr<Job> {
            if (n++ == 0) return std::make_unique<FakeJob>(fate, 5, 9);
            interrupted.wait();
            return nullptr;
        };
        try {
            engine.run(next, [&] { interrupted.open(); });
            FAIL() << "no error";
        } catch (const EngineFailure& e) {
            EXPECT_STREQ(e.what(), "fake: step 3 has not ended for 0.02 s: it has stopped answering");
        }
        EXPECT_THROW(run_all(engine, *std::make_unique<std::vector<Fate>>(1)), EngineFailure);
    }
    EXPECT_EQ(fate.finish, Finish::kCancelled);
    EXPECT_EQ(fate.tokens.size(), 3u);
    EXPECT_TRUE(thread_left_behind());
    gate->open();
}

}  // namespace
