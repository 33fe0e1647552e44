// memory_plan.h: how GPUs and their memory are shared out among replicas, before anything is loaded.
#pragma once
#include <string>
#include <vector>

#include "gpu/architecture.h"
#include "replica.h"

struct Room {
    int device = 0;
    int64_t free_bytes = 0, usable_bytes = 0;
};

struct StagePlan {
    Room room;
    Span span;
    int64_t weight_bytes = 0, workspace_bytes = 0, kv_bytes = 0;
};
struct ReplicaPlan {
    std::vector<StagePlan> stages;
    Capacity capacity;
    int64_t residual_bytes = 0;  // of a token, from one stage to the next
};

// What `options` lets this program take of a device.
Room room_on(int device, const EngineOptions& options);
// As many replicas as there is room for. Each has options.gpus_per_replica devices, or the fewest that hold the weights
// and the longest request. Throws Error, with the numbers and what would fit, if there is no room for one replica with
// a little KV cache.
std::vector<ReplicaPlan> plan_replicas(const ModelSizes& model, const EngineOptions& options,
                                       const std::vector<Room>& rooms);
// "GPU 0, layers 0 to 17: 32.7 GB of weights, ..."
std::string describe(const StagePlan& stage);
