// gpu_replica.cpp: a replica on one GPU, or on a chain of them, each with a span of layers. submit() only launches the
// work of all stages; the host waits for it in collect().
#include <algorithm>
#include <exception>
#include <functional>
#include <thread>

#include "engine/gpus.h"
#include "error.h"
#include "gpu/link.h"
#include "gpu/memory_plan.h"
#include "gpu/stage.h"
#include "log.h"
#include "sampler.h"

static_assert(kNoToken == kNotFinite, "the kernel's word is the scheduler's");

namespace {

// Calls make(0), ..., make(n - 1), each in a thread, so that devices are loaded at the same time.
void at_once(size_t n, const std::function<void(size_t)>& make) {
    std::vector<std::exception_ptr> failures(n);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < n; i++)
        threads.emplace_back([&, i] {
            try {
                make(i);
            } catch (...) {
                failures[i] = std::current_exception();
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& failure : failures)
        if (failure) std::rethrow_exception(failure);
}

const Batch::Seq& seq_of(const Batch& batch, size_t row) {
    return batch.seqs[size_t(batch.tokens[size_t(batch.rows[row].token)].seq)];
}

class GpuReplica : public Replica {
  public:
    GpuReplica(const Architecture& model, const EngineOptions& options, const ReplicaPlan& plan)
        : capacity_(plan.capacity),
          residual_bytes_(plan.residual_bytes),
          synchronous_(options.synchronous),
          vocab_size_(model.config().vocab_size),
          use_graphs_(options.graphs && !options.profile && !options.synchronous && gpu::graphs_supported()),
          sampled_(int64_t(capacity_.steps_in_flight) * capacity_.max_batch_tokens * int64_t(sizeof(int))),
          place_of_slot_(size_t(capacity_.max_sequences)) {
        stages_.resize(plan.stages.size());
        at_once(stages_.size(), [&](size_t i) {
            stages_[i] = std::make_unique<Stage>(model, options, plan.stages[i], capacity_, sampled());
        });
        for (size_t i = 1; i < stages_.size(); i++)
            links_.push_back(std::make_unique<Link>(stages_[i - 1]->device(), stages_[i]->device(),
                                                    capacity_.max_batch_tokens * residual_bytes_, options.peer_copies));
        gpu::set_device(stages_.back()->device());  // the last device records that a step is done
        for (int i = 0; i < capacity_.steps_in_flight; i++)
            steps_.push_back(std::make_unique<Step>(model.config(), capacity_.max_batch_tokens));
        std::string devices;
        for (const auto& stage : stages_) devices += (devices.empty() ? "" : " and ") + std::to_string(stage->device());
        description_ = fmt::format("GPU {}: {}, bf16, up to {} sequences", devices,
                                   gpu::device_info(stages_[0]->device()).name, capacity_.max_sequences);
    }

    ~GpuReplica() override {
        for (const auto& stage : stages_) {  // before the links go, whose copies may wait for the stages
            gpu::try_set_device(stage->device());
            gpu::leave(stage->stream());
        }
    }

    const Capacity& capacity() const override { return capacity_; }

    std::vector<EngineStats::Op> ops() const override {
        std::vector<EngineStats::Op> sum = stages_[0]->ops();
        for (size_t i = 1; i < stages_.size(); i++) add_ops(sum, stages_[i]->ops());
        return sum;
    }

    std::string describe() const override { return description_; }

    void submit(const Batch& batch) override {
        in_step(n_submitted_, [&] { launch(batch); });
        n_submitted_++;
    }

    void collect(StepResult& result) override {
        in_step(n_collected_, [&] { wait(result); });
        n_collected_++;
    }

  private:
    struct Step {
        Step(const CommonConfig& config, int max_tokens) : input(config, max_tokens), done(gpu::make_event()) {}
        ~Step() { gpu::destroy_event(done); }
        StepInput input;
        const gpu::Event done;
        std::unique_ptr<PinnedMemory> taken;  // (max_logit_rows, V) logits of rows that take them; null: none has yet
        const Batch* batch = nullptr;
        int64_t bytes = 0;
    };

    int turn_of(int64_t step) const { return int(step % capacity_.steps_in_flight); }

    // Adds to a device's error the step in which it came to light, and the operation, if there was one.
    template <class F>
    void in_step(int64_t step, const F& part) const {
        try {
            part();
        } catch (const gpu::DeviceError& e) {
            std::string op;
            for (const auto& stage : stages_)
                if (*stage->running()) op = stage->running();
            fail("GPU {}: step {}{}{}: {}{}", e.device, step, op.empty() ? "" : ", ", op, e.why,
                 synchronous_ ? "" : "; the kernel may be an earlier one, which --sync would name");
        }
    }

    void launch(const Batch& batch) {
        const int turn = turn_of(n_submitted_);
        Step& step = *steps_[size_t(turn)];
        const StepShape shape = step.input.shape_of(batch, use_graphs_);
        const int first_place = turn * capacity_.max_batch_tokens;
        step.input.fill(batch, shape, first_place, place_of_slot_);
        step.batch = &batch;
        step.bytes = 0;
        const auto takes = [](const Batch::Row& row) { return row.takes_logits(); };
        if (!step.taken && std::any_of(batch.rows.begin(), batch.rows.end(), takes))
            step.taken = std::make_unique<PinnedMemory>(int64_t(capacity_.max_logit_rows) * vocab_size_ *
                                                        int64_t(sizeof(float)));
        for (size_t i = 0; i < stages_.size(); i++) {
            stages_[i]->begin(batch, step.input, shape);
            if (i == 0) wait_for_tokens();
            if (i > 0) links_[i - 1]->receive(stages_[i]->residual(), bytes_between(shape), stages_[i]->stream());
            step.bytes += stages_[i]->run(batch, shape, taken(step));
            if (i < links_.size()) links_[i]->send(stages_[i]->residual(), bytes_between(shape), stages_[i]->stream());
        }
        gpu::record(step.done, stages_.back()->stream());
        for (size_t r = 0; r < batch.rows.size(); r++)
            if (batch.rows[r].sample) place_of_slot_[size_t(seq_of(batch, r).slot)] = first_place + int(r);
    }

    void wait(StepResult& result) {
        const int turn = turn_of(n_collected_);
        const Step& step = *steps_[size_t(turn)];
        const Batch& batch = *step.batch;
        gpu::set_device(stages_.back()->device());
        gpu::wait_for(step.done);
        const int* const tokens = sampled() + turn * capacity_.max_batch_tokens;
        begin_result(result, batch);
        for (size_t r = 0; r < batch.rows.size(); r++)
            if (batch.rows[r].sample) result.sampled[r] = tokens[r];
        draw_on_host(step, result);
        result.bytes = step.bytes;
        result.busy_s = result.idle_s = 0;
        for (const auto& stage : stages_) {
            const Timeline::Share share = stage->collect();
            result.busy_s += share.busy_s / double(stages_.size());
            result.idle_s += share.idle_s / double(stages_.size());
        }
    }

    static float* taken(const Step& step) {
        return step.taken ? reinterpret_cast<float*>(step.taken->data()) : nullptr;
    }

    // Does for rows that take their logits what the device cannot.
    void draw_on_host(const Step& step, StepResult& result) const {
        const Batch& batch = *step.batch;
        std::vector<int> rows;
        for (size_t r = 0; r < batch.rows.size(); r++) {
            const Batch::Row& row = batch.rows[r];
            if (row.takes_logits())
                rows.push_back(int(r));
            else if (row.sample && row.sampling.is_forced())
                draw_row(result, batch, int(r), /*logits=*/nullptr, vocab_size_);
        }
        constexpr size_t kMostThreads = 8;  // other replicas have threads, too
        const auto n_threads = int(std::clamp<size_t>(rows.size(), 1, kMostThreads));
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
        for (size_t i = 0; i < rows.size(); i++) {
            const float* const logits = taken(step) + int64_t(i) * vocab_size_;
            if (!batch.rows[size_t(rows[i])].sampling.is_plain()) draw_row(result, batch, rows[i], logits, vocab_size_);
            tell_row(result, batch, rows[i], logits, vocab_size_);
        }
    }

    // (steps in flight, max_batch_tokens) in host memory, which devices write and read over the bus: the tokens are
    // few, and a copy would be an operation of its own.
    int* sampled() const {
        return reinterpret_cast<int*>(sampled_.data());
    }

    int64_t bytes_between(const StepShape& shape) const {
        return shape.n_tokens * residual_bytes_;
    }

    // The first stage reads what the last one samples, in steps at least steps_apart ago.
    void wait_for_tokens() {
        const int64_t ago = n_submitted_ - capacity_.steps_apart;
        if (stages_.size() == 1 || ago < 0) return;
        gpu::wait_for(steps_[size_t(turn_of(ago))]->done, stages_[0]->stream());
    }

    const Capacity capacity_;
    const int64_t residual_bytes_;  // of a token
    const bool synchronous_;
    const int vocab_size_;
    const bool use_graphs_;
    const PinnedMemory sampled_;
    std::vector<std::unique_ptr<Stage>> stages_;
    std::vector<std::unique_ptr<Link>> links_;  // from stage i to stage i + 1
    std::vector<std::unique_ptr<Step>> steps_;  // used in turn
    int64_t n_submitted_ = 0, n_collected_ = 0;
    std::string description_;
    std::vector<int> place_of_slot_;  // where in sampled() each slot's last token is
};

std::vector<int> chosen_devices(const EngineOptions& options) {
    std::vector<int> devices;
    for (int device = 0; device < gpu::device_count(); device++) {
        const bool listed = options.gpus.empty() || std::count(options.gpus.begin(), options.gpus.end(), device) > 0;
        if (!listed || (options.n_gpus > 0 && int(devices.size()) == options.n_gpus)) continue;
        if (const std::string why = gpu::unusable(device); why.empty())
            devices.push_back(device);
        else if (!options.gpus.empty())
            fail("--gpus: {}", why);
    }
    for (const int device : options.gpus)
        if (device < 0 || device >= gpu::device_count())
            fail("--gpus: expected numbers from 0 to {}, found {}", gpu::device_count() - 1, device);
    if (devices.empty()) fail("{}", gpu_trouble());
    return devices;
}

std::vector<ReplicaPlan> plan_all(const Architecture& model, const EngineOptions& options) {
    std::vector<Room> rooms;
    for (const int device : chosen_devices(options)) rooms.push_back(room_on(device, options));
    std::vector<ReplicaPlan> plans = plan_replicas(model.sizes(), options, rooms);
    for (const ReplicaPlan& plan : plans)
        for (const StagePlan& stage : plan.stages) log_line("{}", describe(stage));
    if (const size_t left = rooms.size() % plans[0].stages.size(); left > 0)
        log_line("{} of {} GPUs are left over: a replica takes {}", left, rooms.size(), plans[0].stages.size());
    return plans;
}

}  // namespace

int usable_gpus() {
    int n = 0;
    for (int device = 0; device < gpu::device_count(); device++) n += gpu::unusable(device).empty();
    return n;
}

std::string gpu_trouble() {
    if (gpu::device_count() == 0) return "no GPU found, or no driver for it";
    return gpu::unusable(0);
}

std::vector<std::unique_ptr<Replica>> make_gpu_replicas(const Model& model, const EngineOptions& options) {
    const std::unique_ptr<Architecture> architecture = architecture_of(model);
    const std::vector<ReplicaPlan> plans = plan_all(*architecture, options);
    std::vector<std::unique_ptr<Replica>> replicas(plans.size());
    at_once(plans.size(),
            [&](size_t i) { replicas[i] = std::make_unique<GpuReplica>(*architecture, options, plans[i]); });
    return replicas;
}
