// memory_plan.cpp: memory goes to weights, then workspace; the KV cache gets the rest. In a chain, the device with the
// least room decides the number of pages.
#include "gpu/memory_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "engine/even_spans.h"
#include "error.h"
#include "gpu/runtime.h"
#include "gpu/step_sizes.h"

namespace {

std::vector<Span> even_spans(const std::vector<int64_t>& cost, int n_spans) {
    std::vector<Span> spans;
    int begin = 0;
    for (const int end : even_ends(cost, n_spans)) {
        spans.push_back({begin, end, spans.empty(), int(spans.size()) + 1 == n_spans});
        begin = end;
    }
    return spans;
}

// Spans that take about equal time: a stage's share of a step's time is its share of the weight bytes that the step
// reads. A step reads all of the head, but only one row of the embedding for each token.
std::vector<Span> spans_by_reads(const WeightBytes& weights, int n_spans) {
    std::vector<int64_t> cost = weights.layers;
    cost.back() += weights.head;
    return even_spans(cost, n_spans);
}

std::vector<Span> spans_by_weight(const WeightBytes& weights, int n_spans) {
    std::vector<int64_t> cost = weights.layers;
    cost.front() += weights.embed;
    cost.back() += weights.head;
    return even_spans(cost, n_spans);
}

// In a chain, sets of sequences take turns, so a step has only one device's share of all sequences.
int max_step_tokens(const EngineOptions& options) {
    return std::max(kMaxStepTokens, options.max_sequences + kGpuPrefillChunk);
}

int64_t megabytes(int64_t bytes) {
    return (bytes + 999999) / 1000000;
}

std::string layers_of(const Span& span) {
    return fmt::format("layers {} to {}", span.first, span.end - 1);
}

int64_t pool_bytes(const CommonConfig& config, const Capacity& capacity) {
    return capacity.n_pages * kv_page_bytes(config, sizeof(bf16));
}

// What both of two stages have room for.
Capacity common(const Capacity& a, const Capacity& b) {
    Capacity both = a;
    both.max_sequences = std::min(a.max_sequences, b.max_sequences);
    both.n_pages = std::min(a.n_pages, b.n_pages);
    return both;
}

// Whether there are pages enough for the longest request that may come.
bool holds_a_request(const CommonConfig& config, const EngineOptions& options, const ReplicaPlan& plan) {
    const int positions = options.max_request_positions > 0
                              ? std::min(options.max_request_positions, config.max_context)
                              : config.max_context;
    const int n_full = pages_for(positions);
    const bool slides = std::count(config.layer_kind.begin(), config.layer_kind.end(), LayerKind::kSliding) > 0;
    const int n_sliding = slides ? std::min(n_full, sliding_pages_needed(config.sliding_window, kGpuPrefillChunk)) : 0;
    return options.kv_bytes > 0 || plan.capacity.n_pages >= n_full + n_sliding;
}

ReplicaPlan plan_replica(const ModelSizes& model, const EngineOptions& options, const std::vector<Room>& rooms);

std::optional<ReplicaPlan> try_plan(const ModelSizes& model, const EngineOptions& options,
                                    const std::vector<Room>& rooms) {
    try {
        return plan_replica(model, options, rooms);
    } catch (const Error&) {
        return {};
    }
}

// The fewest devices that hold a replica; if none do, all of them.
int fewest_devices(const ModelSizes& model, const EngineOptions& options, const std::vector<Room>& rooms) {
    const int most = std::min(int(rooms.size()), model.config.n_layers);
    for (const bool wants_request : {true, false})
        for (int n = 1; n <= most; n++) {
            const auto plan = try_plan(model, options, {rooms.begin(), rooms.begin() + n});
            if (plan && (!wants_request || holds_a_request(model.config, options, *plan))) return n;
        }
    return most;
}

// Advice for the user: how many devices like the first would be enough.
std::string what_would_fit(const ModelSizes& model, const EngineOptions& options, const Room& room) {
    for (int n = 1; n <= model.config.n_layers; n++)
        if (try_plan(model, options, std::vector<Room>(size_t(n), room)))
            return fmt::format("; {} such GPUs hold it: --gpus-per-replica {}", n, n);
    return "; no number of such GPUs holds it";
}

ReplicaPlan plan_spans(const ModelSizes& model, const EngineOptions& options, const std::vector<Room>& rooms,
                       const std::vector<Span>& spans) {
    const int n = int(rooms.size()), max_tokens = max_step_tokens(options);
    EngineOptions of_chain = options;
    of_chain.max_sequences = int(std::min<int64_t>(int64_t(n) * options.max_sequences, INT32_MAX));
    ReplicaPlan plan;
    plan.residual_bytes = model.residual_bytes;
    for (const Span& span : spans) {
        StagePlan stage;
        stage.span = span;
        stage.room = rooms[plan.stages.size()];
        const CommonConfig part = config_of(model.config, span);
        stage.weight_bytes = model.weights.of(span);
        stage.workspace_bytes = model.workspace_bytes(span, max_tokens);
        const int64_t between = (int(!span.embeds) + int(!span.samples)) * max_tokens * model.residual_bytes;
        const int64_t left = stage.room.usable_bytes - stage.weight_bytes - stage.workspace_bytes - between;
        if (left < 0)
            fail(
                "GPU {}: {} need {} MB of weights and {} MB of workspace, and {} MB of {} MB free are usable; {} MB "
                "are missing",
                stage.room.device, layers_of(span), megabytes(stage.weight_bytes),
                megabytes(stage.workspace_bytes + between), stage.room.usable_bytes / 1000000,
                stage.room.free_bytes / 1000000, megabytes(-left));
        stage.kv_bytes = options.kv_bytes > 0 ? std::min(options.kv_bytes, left) : left;
        const Capacity capacity =
            plan_capacity(part, of_chain, stage.kv_bytes, sizeof(bf16), max_tokens, kGpuPrefillChunk);
        plan.capacity = plan.stages.empty() ? capacity : common(plan.capacity, capacity);
        plan.stages.push_back(stage);
    }
    for (StagePlan& stage : plan.stages)
        stage.kv_bytes = pool_bytes(config_of(model.config, stage.span), plan.capacity);
    plan.capacity.steps_in_flight = steps_in_flight(n);
    plan.capacity.steps_apart = n;
    plan.capacity.step_limit_s = options.step_limit_s;
    plan.capacity.max_logit_rows = kMostLogitRows;
    plan.capacity.max_prefill_tokens_beside_decode = kMaxPrefillBesideDecode;
    return plan;
}

// One replica on as many devices as there are rooms. Its stages take equal time if memory allows that, else they have
// equal weight bytes. Throws Error, with the numbers, if a device cannot hold its share and a little KV cache.
ReplicaPlan plan_replica(const ModelSizes& model, const EngineOptions& options, const std::vector<Room>& rooms) {
    const int n = int(rooms.size());
    if (n > 1) {
        try {
            return plan_spans(model, options, rooms, spans_by_reads(model.weights, n));
        } catch (const Error&) {  // the first device may lack room for the embedding
        }
    }
    return plan_spans(model, options, rooms, spans_by_weight(model.weights, n));
}

}  // namespace

Room room_on(int device, const EngineOptions& options) {
    Room room;
    room.device = device;
    room.free_bytes = gpu::device_info(device).free_bytes;
    room.usable_bytes = options.gpu_memory_bytes > 0 ? std::min(options.gpu_memory_bytes, room.free_bytes)
                                                     : int64_t(double(room.free_bytes) * options.gpu_memory);
    return room;
}

std::vector<ReplicaPlan> plan_replicas(const ModelSizes& model, const EngineOptions& options,
                                       const std::vector<Room>& rooms) {
    const int n = options.gpus_per_replica > 0 ? options.gpus_per_replica : fewest_devices(model, options, rooms);
    if (n > int(rooms.size())) fail("--gpus-per-replica: expected at most {}, found {}", rooms.size(), n);
    if (n > model.config.n_layers)
        fail("--gpus-per-replica: expected at most {}, a layer each, found {}", model.config.n_layers, n);
    std::vector<ReplicaPlan> plans;
    for (size_t first = 0; first + size_t(n) <= rooms.size(); first += size_t(n)) {
        const std::vector<Room> own(rooms.begin() + long(first), rooms.begin() + long(first) + n);
        try {
            plans.push_back(plan_replica(model, options, own));
        } catch (const Error& e) {
            fail("{}{}", e.what(), what_would_fit(model, options, own[0]));
        }
    }
    return plans;
}

std::string describe(const StagePlan& stage) {
    const auto gb = [](int64_t bytes) { return double(bytes) * 1e-9; };
    return fmt::format(
        "GPU {}, {}: {:.1f} GB of weights, {:.1f} GB of workspace, {:.1f} GB of KV cache; {:.1f} GB usable",
        stage.room.device, layers_of(stage.span), gb(stage.weight_bytes), gb(stage.workspace_bytes), gb(stage.kv_bytes),
        gb(stage.room.usable_bytes));
}
