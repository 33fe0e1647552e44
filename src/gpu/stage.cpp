// stage.cpp: one copy in, a list of launches. Decode steps of a size seen before are replayed from a graph.
#include "gpu/stage.h"

#include <algorithm>

#include "gpu/ops.h"
#include "gpu/step_sizes.h"

namespace {

// Called to initialise the first member: the members after it are made on this device.
int current(int device) {
    gpu::set_device(device);
    return device;
}

}  // namespace

Stage::Stage(const Architecture& model, const EngineOptions& options, const StagePlan& plan, const Capacity& capacity,
             int* sampled)
    : config_(config_of(model.config(), plan.span)),
      span_(plan.span),
      device_(current(plan.room.device)),
      timer_(options.profile, options.synchronous, options.profile ? measure_roofs(device_, nullptr) : Roofs{},
             model.op_names()),
      stream_(gpu::make_stream()),
      step_input_(step_input_bytes(capacity.max_batch_tokens), "step's input"),
      kv_(config_, capacity),
      forward_(model.make_forward(
          {span_, plan.weight_bytes, plan.workspace_bytes, capacity.max_batch_tokens, kv_.cache(), timer_, stream_})),
      timeline_(capacity.steps_in_flight),
      sampled_(sampled) {
    if (span_.samples)
        logits_host_ = std::make_unique<PinnedMemory>(int64_t(config_.vocab_size) * int64_t(sizeof(float)));
}

Stage::~Stage() {
    gpu::try_set_device(device_);
    gpu::leave(stream_);
    for (const auto& [key, recorded] : graphs_)
        if (recorded.graph) gpu::destroy_graph(recorded.graph);
    gpu::destroy_stream(stream_);
}

void Stage::begin(const Batch& batch, const StepInput& input, const StepShape& shape) {
    gpu::set_device(device_);
    kv_.update(batch, stream_);
    input.send(shape, step_input_.data(), stream_);
}

int64_t Stage::run(const Batch& batch, const StepShape& shape, float* taken) {
    gpu::set_device(device_);
    StepView view = view_step_input(shape, step_input_.data());
    view.tokens.sampled = view.sampled = sampled_;
    timeline_.begin(stream_);
    const int64_t weight_bytes = shape.recorded ? launch_recorded(view) : launch(view, batch, taken);
    if (shape.recorded && span_.samples) take_logits(batch, 0, int(batch.rows.size()), taken);  // all are still there
    timeline_.end(stream_);
    timer_.end_step();
    kv_bytes_ += key_bytes(shape);
    return weight_bytes + key_bytes(shape);
}

int64_t Stage::launch(const StepView& view, const Batch& batch, float* taken) {
    const int64_t before = timer_.weight_bytes();
    forward_->layers(view);
    for (int begin = 0; span_.samples && begin < view.n_rows; begin += kLogitRowsAtOnce) {
        const int end = std::min(begin + kLogitRowsAtOnce, view.n_rows);
        forward_->logits(view, begin, end - begin);
        const int n_real = std::min(end, int(batch.rows.size()));
        for (int r = begin; r < n_real; r++)
            if (batch.rows[size_t(r)].want_logits) hand_out_logits(batch, r, r - begin);
        taken = take_logits(batch, begin, n_real, taken);
        forward_->sample(view, begin, end - begin);  // comes last, as it may change logits
    }
    return timer_.weight_bytes() - before;
}

// The first step of a size runs plainly, which also loads its kernels; the second is recorded.
int64_t Stage::launch_recorded(const StepView& view) {
    const auto [entry, is_new] = graphs_.try_emplace({view.tokens.n, view.full_spans});
    if (is_new) return launch(view, {}, nullptr);
    Recorded& recorded = entry->second;
    if (!recorded.graph) {
        gpu::begin_capture(stream_);
        recorded.weight_bytes = launch(view, {}, nullptr);
        recorded.graph = gpu::end_capture(stream_);
    }
    gpu::launch_graph(recorded.graph, stream_);
    return recorded.weight_bytes;
}

// Copies those of rows [begin, end), the first of which is the first in the buffer. Returns where the next ones go.
float* Stage::take_logits(const Batch& batch, int begin, int end, float* taken) {
    const int64_t v = config_.vocab_size;
    for (int r = begin; r < end; r++) {
        if (!batch.rows[size_t(r)].takes_logits()) continue;
        gpu::copy_to_host(taken, forward_->buffers().logits + (r - begin) * v, v * int64_t(sizeof(float)), stream_);
        taken += v;
    }
    return taken;
}

void Stage::hand_out_logits(const Batch& batch, int row, int in_buffer) {
    const int64_t v = config_.vocab_size;
    gpu::copy_to_host(logits_host_->data(), forward_->buffers().logits + in_buffer * v, v * int64_t(sizeof(float)),
                      stream_);
    gpu::synchronize(stream_);
    batch.on_logits(row, reinterpret_cast<const float*>(logits_host_->data()));
}

Timeline::Share Stage::collect() {
    timer_.collect();
    return timeline_.collect();
}

int64_t Stage::key_bytes(const StepShape& shape) const {
    const int64_t full = std::count(config_.layer_kind.begin(), config_.layer_kind.end(), LayerKind::kFull);
    const int64_t keys = full * shape.full_keys.read + (config_.n_layers - full) * shape.ring_keys.read;
    return keys * config_.n_kv_heads * config_.head_dim * 2 * int64_t(sizeof(bf16));
}

std::vector<EngineStats::Op> Stage::ops() const {
    std::vector<EngineStats::Op> ops = timer_.ops();
    ops[kAttention].bytes = kv_bytes_;
    return ops;
}
