// engine_stats.cpp: what an engine did between two moments, and what several did together. Every sum of EngineStats
// stands here, so that none is forgotten.
#include <algorithm>

#include "engine.h"

EngineStats& EngineStats::operator-=(const EngineStats& before) {
    prompt_tokens -= before.prompt_tokens;
    new_tokens -= before.new_tokens;
    prefill_steps -= before.prefill_steps;
    decode_steps -= before.decode_steps;
    prefill_s -= before.prefill_s;
    decode_s -= before.decode_s;
    reused_tokens -= before.reused_tokens;
    put_back -= before.put_back;
    prefill_new_tokens -= before.prefill_new_tokens;
    prefill_bytes -= before.prefill_bytes;
    decode_bytes -= before.decode_bytes;
    host_s -= before.host_s;
    host_wait_s -= before.host_wait_s;
    device_s -= before.device_s;
    device_idle_s -= before.device_idle_s;
    for (size_t i = 0; i < std::min(ops.size(), before.ops.size()); i++) {
        ops[i].seconds -= before.ops[i].seconds;
        ops[i].bytes -= before.ops[i].bytes;
        ops[i].roof_seconds -= before.ops[i].roof_seconds;
    }
    return *this;
}

void add_ops(std::vector<EngineStats::Op>& sum, const std::vector<EngineStats::Op>& more) {
    sum.resize(std::max(sum.size(), more.size()));
    for (size_t i = 0; i < more.size(); i++) {
        sum[i].name = more[i].name;
        sum[i].seconds += more[i].seconds;
        sum[i].bytes += more[i].bytes;
        sum[i].roof_seconds += more[i].roof_seconds;
    }
}
