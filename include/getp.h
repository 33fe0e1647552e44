// getp.h: the two halves of getp. The harness (getp_eval.cpp) knows files, formats and reports; the runner
// (getp_run.cpp) knows the engine.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "engine.h"
#include "requests.h"

struct GetpRun {
    std::unique_ptr<Engine> engine;
    std::vector<DeviceStats> warm_up;  // what the engine had done before inference
    double load_s = 0, warm_up_s = 0;  // warm_up_s: with load_s
    double inference_s = 0;
};

// Makes the engine and has it answer a request of one token, so that weights and code are in memory. Throws Error.
GetpRun warm_up(const Model& model, const EngineOptions& options);

// Runs the requests of `next` until there are no more. Each gets an answer, if only an error. `next` is called by one
// thread at a time; if it throws, the exception comes out here once all that runs has been answered. If all replicas
// fail, `interrupt` is called from another thread so that a waiting `next` can end, and EngineFailure is thrown.
void inference(GetpRun& run, const std::function<std::optional<Request>()>& next,
               const std::function<void()>& interrupt, const TextCodec& codec, ResultSink& sink);

// What the engine did in inference.
std::vector<DeviceStats> finish(const GetpRun& run);
