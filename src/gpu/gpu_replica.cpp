// gpu_replica.cpp: one GPU: plans its memory, then runs batches, one copy in, one copy out. Decode steps of a size seen
// before are replayed from a graph.
#include <algorithm>
#include <array>
#include <map>
#include <thread>

#include "engine/gpus.h"
#include "error.h"
#include "gpu/forward.h"
#include "gpu/ops.h"
#include "gpu/page_tables.h"
#include "gpu/step_input.h"
#include "gpu/tune.h"
#include "sampler.h"

static_assert(kNoToken == kNotFinite, "the kernel's word is the scheduler's");

namespace {

void check_config(const Config& c) {
    const auto need = [](bool ok, const char* field, const char* expected, int found) {
        if (!ok) fail("GPU: {}: expected {}, found {}; --device cpu takes it", field, expected, found);
    };
    need(c.head_dim == 32 || c.head_dim == 64 || c.head_dim == 128, "head_dim", "32, 64 or 128", c.head_dim);
    need(c.n_attn_heads / c.n_kv_heads <= 16, "query heads a KV head", "at most 16", c.n_attn_heads / c.n_kv_heads);
    need(c.hidden_dim % 32 == 0 && c.hidden_dim <= 8192, "hidden size", "a multiple of 32 up to 8192", c.hidden_dim);
    need(c.intermediate_dim % 32 == 0, "intermediate size", "a multiple of 32", c.intermediate_dim);
    need(c.n_experts <= 256, "experts", "at most 256", c.n_experts);
    need(c.experts_per_token <= 8, "experts a token", "at most 8", c.experts_per_token);
}

int spans(int n_keys) {
    return (n_keys + kSplitKeys - 1) / kSplitKeys;
}

Roofs roofs_of(int device) {
    gpu::set_device(device);
    return measure_roofs(device, nullptr);
}

class GpuReplica : public Replica {
  public:
    GpuReplica(const Model& model, const EngineOptions& options, int device)
        : config_(model.config),
          device_(device),
          use_graphs_(options.graphs && !options.profile && !options.synchronous && gpu::graphs_supported()),
          timer_(options.profile, options.synchronous, options.profile ? roofs_of(device) : Roofs{}, gpu_op_names()) {
        gpu::set_device(device);
        plan(model, options);
        weights_ = load_weights(model);
        stream_ = gpu::make_stream();
        Layout layout(workspace_memory_.data());
        workspace_ = place(layout);
        gpu::fill(workspace_memory_.data(), 0, workspace_memory_.bytes(), stream_);
        fill_workspace(config_, workspace_, stream_);
        step_input_ = DeviceMemory(step_input_bytes(capacity_.max_batch_tokens), "step's input");
        capacity_.steps_in_flight = kStepsInFlight;
        for (auto& step : steps_) step = std::make_unique<Step>(config_, capacity_.max_batch_tokens);
        place_of_slot_.resize(size_t(capacity_.max_sequences));
        kv_ = std::make_unique<PageTables>(config_, capacity_);
        forward_ = std::make_unique<Forward>(config_, weights_, workspace_, kv_->cache(), timer_, stream_);
        sampled_host_ =
            std::make_unique<PinnedMemory>(kStepsInFlight * capacity_.max_batch_tokens * int64_t(sizeof(int)));
        logits_host_ = std::make_unique<PinnedMemory>(int64_t(config_.vocab_size) * int64_t(sizeof(float)));
    }

    ~GpuReplica() override {
        gpu::set_device(device_);
        for (const auto& [key, recorded] : graphs_)
            if (recorded.graph) gpu::destroy_graph(recorded.graph);
        gpu::destroy_stream(stream_);
    }

    const Capacity& capacity() const override { return capacity_; }
    std::vector<EngineStats::Op> ops() const override {
        std::vector<EngineStats::Op> ops = timer_.ops();
        ops[kAttention].bytes = kv_bytes_;
        return ops;
    }

    std::string describe() const override {
        const gpu::DeviceInfo info = gpu::device_info(device_);
        return fmt::format("GPU {}: {}, bf16, {:.1f} GB of weights, {:.1f} GB of KV cache for {} sequences", device_,
                           info.name, double(weights_.memory.bytes()) * 1e-9, double(kv_->bytes()) * 1e-9,
                           capacity_.max_sequences);
    }

    void submit(const Batch& batch) override {
        gpu::set_device(device_);
        const int turn = n_submitted_++ % kStepsInFlight;
        Step& step = *steps_[size_t(turn)];
        step.batch = &batch;
        kv_->update(batch, stream_);
        const bool wants_logits =
            std::any_of(batch.rows.begin(), batch.rows.end(), [](const Batch::Row& r) { return r.want_logits; });
        // One token and one row a sequence.
        const bool decode =
            !wants_logits && batch.tokens.size() == batch.seqs.size() && batch.rows.size() == batch.seqs.size();
        const bool replayed = decode && use_graphs_;
        const int n = std::min(decode_bucket(int(batch.tokens.size())), capacity_.max_batch_tokens);
        const StepSizes sizes = replayed ? StepSizes{n, n, n} : step.input.sizes_of(batch);
        const int first_place = turn * capacity_.max_batch_tokens;
        step.input.fill(batch, sizes, first_place, place_of_slot_);
        step.input.send(sizes, step_input_.data(), stream_);
        StepView view = view_step_input(sizes, step_input_.data());
        view.tokens.sampled = view.sampled = sampled();
        set_spans(view, batch, replayed);
        step.bytes = key_bytes(view) + (replayed ? run_recorded(view) : run(view, batch));
        gpu::record(step.done, stream_);
        timer_.end_step();
        for (size_t r = 0; r < batch.rows.size(); r++)
            if (batch.rows[r].sample) place_of_slot_[size_t(seq_of(batch, r).slot)] = first_place + int(r);
    }

    void collect(StepResult& result) override {
        gpu::set_device(device_);
        const int turn = n_collected_++ % kStepsInFlight;
        const Step& step = *steps_[size_t(turn)];
        const Batch& batch = *step.batch;
        gpu::wait_for(step.done);
        timer_.collect();
        const int* const tokens = sampled() + turn * capacity_.max_batch_tokens;
        result.sampled.assign(batch.rows.size(), -1);
        for (size_t r = 0; r < batch.rows.size(); r++) {
            if (batch.rows[r].sample) result.sampled[r] = tokens[r];
            // After the step that may already read these pages for the same sequence, before any for another.
            if (tokens[r] == kNoToken) kv_->clear(*seq_of(batch, r).pages, stream_);
        }
        result.bytes = step.bytes;
    }

  private:
    // Weights, then workspace; the KV cache gets the rest.
    void plan(const Model& model, const EngineOptions& options) {
        check_config(config_);
        const int most_tokens = std::max(kMaxStepTokens, options.max_sequences + kGpuPrefillChunk);
        capacity_.max_batch_tokens = most_tokens;
        Layout count;
        place(count);
        const int64_t free_bytes = gpu::device_info(device_).free_bytes;
        const auto usable = int64_t(double(free_bytes) * options.gpu_memory);
        const int64_t weight_bytes = device_weight_bytes(model), needed = weight_bytes + count.used();
        if (needed > usable)
            fail(
                "GPU {}: the weights need {} MB and the workspace {} MB, and {} MB are usable ({} % of {} MB free); {} "
                "MB are "
                "missing",
                device_, weight_bytes / 1000000, count.used() / 1000000, usable / 1000000,
                int(options.gpu_memory * 100), free_bytes / 1000000, (needed - usable) / 1000000 + 1);
        const int64_t kv_bytes = options.kv_bytes > 0 ? std::min(options.kv_bytes, usable - needed) : usable - needed;
        capacity_ = plan_capacity(config_, options, kv_bytes, sizeof(bf16), most_tokens, kGpuPrefillChunk);
        workspace_memory_ = DeviceMemory(count.used(), "workspace");
    }

    Workspace place(Layout& layout) {
        const int max_spans = spans(config_.max_context);
        return lay_out_workspace(config_, capacity_.max_batch_tokens, capacity_.max_batch_tokens, max_spans, layout);
    }

    static const Batch::Seq& seq_of(const Batch& batch, size_t row) {
        return batch.seqs[size_t(batch.tokens[size_t(batch.rows[row].token)].seq)];
    }

    // (kStepsInFlight, max_batch_tokens), written and read by the device over the bus: there are few, and a copy would
    // be an operation of its own.
    int* sampled() const { return reinterpret_cast<int*>(sampled_host_->data()); }

    void set_spans(StepView& view, const Batch& batch, bool rounded) const {
        int last = 0;
        for (const Batch::Token& token : batch.tokens) last = std::max(last, token.pos);
        view.full_spans = rounded ? span_bucket(spans(last + 1)) : spans(last + 1);
        // A window and the tokens of one tile, wherever they begin.
        view.ring_spans = std::min(view.full_spans, (config_.sliding_window + 16 - 3) / kSplitKeys + 2);
        count_keys(view, batch);
    }

    void count_keys(StepView& view, const Batch& batch) const {
        int of_seq = 0;
        for (size_t t = 0; t < batch.tokens.size(); t++) {
            const Batch::Token& token = batch.tokens[t];
            const int pos = token.pos, window = config_.sliding_window;
            of_seq++;
            view.full_keys.seen += pos + 1;
            view.ring_keys.seen += std::min(pos + 1, window);
            if (t + 1 < batch.tokens.size() && batch.tokens[t + 1].seq == token.seq) continue;
            view.full_keys.read += pos + 1;
            view.ring_keys.read += std::min(pos + 1, window - 1 + of_seq);
            of_seq = 0;
        }
    }

    // Launches all, and hands logits out. Returns bytes of weights that it reads.
    int64_t run(const StepView& view, const Batch& batch) {
        const int64_t before = timer_.weight_bytes();
        forward_->layers(view);
        for (int begin = 0; begin < view.n_rows; begin += kLogitRowsAtOnce) {
            const int end = std::min(begin + kLogitRowsAtOnce, view.n_rows);
            forward_->logits(view, begin, end - begin);
            forward_->sample(view, begin, end - begin);
            for (int r = begin; r < std::min(end, int(batch.rows.size())); r++)
                if (batch.rows[size_t(r)].want_logits) hand_out_logits(batch, r, r - begin);
        }
        return timer_.weight_bytes() - before;
    }

    void hand_out_logits(const Batch& batch, int row, int in_workspace) {
        const int64_t v = config_.vocab_size;
        gpu::copy_to_host(logits_host_->data(), workspace_.logits + in_workspace * v, v * int64_t(sizeof(float)),
                          stream_);
        gpu::synchronize(stream_);
        batch.on_logits(row, reinterpret_cast<const float*>(logits_host_->data()));
    }

    // The first step of a size runs plainly, which also loads its kernels; the second is recorded.
    int64_t run_recorded(const StepView& view) {
        const auto [entry, is_new] = graphs_.try_emplace({view.tokens.n, view.full_spans});
        if (is_new) return run(view, {});
        Recorded& recorded = entry->second;
        if (!recorded.graph) {
            gpu::begin_capture(stream_);
            recorded.weight_bytes = run(view, {});
            recorded.graph = gpu::end_capture(stream_);
        }
        gpu::launch_graph(recorded.graph, stream_);
        return recorded.weight_bytes;
    }

    // Of the KV cache, read by the step.
    int64_t key_bytes(const StepView& view) {
        const int64_t full = std::count(config_.layer_kind.begin(), config_.layer_kind.end(), LayerKind::kFull);
        const int64_t keys = full * view.full_keys.read + (config_.n_layers - full) * view.ring_keys.read;
        const int64_t bytes = keys * config_.n_kv_heads * config_.head_dim * 2 * int64_t(sizeof(bf16));
        kv_bytes_ += bytes;
        return bytes;
    }

    const Config config_;
    const int device_;
    const bool use_graphs_;
    OpTimer timer_;
    Capacity capacity_;
    gpu::Stream stream_ = nullptr;
    DeviceModel weights_;
    DeviceMemory workspace_memory_;
    Workspace workspace_;
    DeviceMemory step_input_;
    std::unique_ptr<PageTables> kv_;
    std::unique_ptr<Forward> forward_;
    std::unique_ptr<PinnedMemory> sampled_host_, logits_host_;
    struct Recorded {
        gpu::Graph graph = nullptr;
        int64_t weight_bytes = 0;  // that one replay reads
    };
    std::map<std::pair<int, int>, Recorded> graphs_;  // (tokens, spans)
    struct Step {
        Step(const Config& config, int max_tokens) : input(config, max_tokens), done(gpu::make_event()) {}
        ~Step() { gpu::destroy_event(done); }
        StepInput input;
        gpu::Event done;
        const Batch* batch = nullptr;
        int64_t bytes = 0;
    };
    std::array<std::unique_ptr<Step>, kStepsInFlight> steps_;  // take turns
    int n_submitted_ = 0, n_collected_ = 0;
    std::vector<int> place_of_slot_;  // of what is sampled, each slot's last token
    int64_t kv_bytes_ = 0;
};

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
    std::vector<int> devices;
    for (int device = 0; device < gpu::device_count(); device++)
        if (gpu::unusable(device).empty() && (options.n_gpus == 0 || int(devices.size()) < options.n_gpus))
            devices.push_back(device);
    if (devices.empty()) fail("{}", gpu_trouble());
    std::vector<std::unique_ptr<Replica>> replicas(devices.size());
    std::vector<std::exception_ptr> failures(devices.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < devices.size(); i++)
        threads.emplace_back([&, i] {
            try {
                replicas[i] = std::make_unique<GpuReplica>(model, options, devices[i]);
            } catch (...) {
                failures[i] = std::current_exception();
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& failure : failures)
        if (failure) std::rethrow_exception(failure);
    return replicas;
}
