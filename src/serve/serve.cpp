// serve.cpp: the mode serve: the engine behind OpenAI's API.
#include <cstdio>

#include "error.h"
#include "log.h"
#include "options.h"
#include "serve/server.h"

namespace {

// All that takes time before the first request can be answered.
LoadedModel load(const Options& options, const Model& model) {
    prepare_model(options, model);
    EngineOptions engine = engine_options(options, 0);
    LoadedModel loaded;
    loaded.codec = std::make_unique<const TextCodec>(model, options.tokenizer);
    loaded.engine = std::make_unique<Engine>(model, engine);
    loaded.in_flight = engine.max_sequences * int(loaded.engine->stats_by_device().size());
    log_line("serve: {}", loaded.engine->describe());
    return loaded;
}

}  // namespace

int serve(const Options& options, const Model& model) {
    HttpLimits limits;
    limits.body_bytes = options.serve.max_body_bytes;
    Server server(options, model.common(), limits, [&] { return load(options, model); });
    const bool is_ipv6 = options.serve.host.find(':') != std::string::npos;
    log_line("serve: http://{}{}{}:{}", is_ipv6 ? "[" : "", options.serve.host, is_ipv6 ? "]" : "", server.port());
    int code = kExitRequestFailed;
    try {
        code = server.run();
    } catch (const EngineFailure& e) {
        log_line("run: {}", e.what());
    }
    if (!server.left_work()) return code;
    std::fflush(nullptr);
    std::_Exit(code);
}
