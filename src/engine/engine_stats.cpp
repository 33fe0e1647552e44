// engine_stats.cpp: what an engine did between two moments, and what several did together. Every sum of EngineStats
// stands here, so that none is forgotten.
#include <algorithm>

#include "engine.h"

namespace {

// Calls f(a.sum, b.sum) for every sum but those of operations.
template <class F>
void for_all(EngineStats& a, const EngineStats& b, const F& f) {
    f(a.prompt_tokens, b.prompt_tokens);
    f(a.new_tokens, b.new_tokens);
    f(a.prefill_steps, b.prefill_steps);
    f(a.decode_steps, b.decode_steps);
    f(a.prefill_rows, b.prefill_rows);
    f(a.decode_rows, b.decode_rows);
    f(a.prefill_s, b.prefill_s);
    f(a.decode_s, b.decode_s);
    f(a.reused_tokens, b.reused_tokens);
    f(a.put_back, b.put_back);
    f(a.prefill_new_tokens, b.prefill_new_tokens);
    f(a.prefill_bytes, b.prefill_bytes);
    f(a.decode_bytes, b.decode_bytes);
    f(a.host_s, b.host_s);
    f(a.host_wait_s, b.host_wait_s);
    f(a.device_s, b.device_s);
    f(a.device_idle_s, b.device_idle_s);
}

}  // namespace

EngineStats& EngineStats::operator+=(const EngineStats& more) {
    for_all(*this, more, [](auto& a, const auto& b) { a += b; });
    add_ops(ops, more.ops);
    return *this;
}

EngineStats& EngineStats::operator-=(const EngineStats& before) {
    for_all(*this, before, [](auto& a, const auto& b) { a -= b; });
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
