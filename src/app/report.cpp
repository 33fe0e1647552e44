// report.cpp: rates and shares from sums. docs/report.md says what the JSON's fields mean.
#include "report.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/host_name.h"
#include "log.h"

namespace {

using Json = nlohmann::ordered_json;

double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

// The words that the process was started with.
std::vector<std::string> command_line() {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    std::vector<std::string> words;
    for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
    return words;
}

Json percentiles(const std::vector<float>& values) {
    return {{"p50", percentile(values, 50)}, {"p90", percentile(values, 90)}, {"p99", percentile(values, 99)}};
}

double prefill_rate(const EngineStats& s) {
    return ratio(double(s.prefill_rows), s.prefill_s);
}
double decode_rate(const EngineStats& s) {
    return ratio(double(s.new_tokens - s.prefill_new_tokens), s.decode_s);
}
double idle_share(const EngineStats& s) {
    return ratio(s.device_idle_s, s.device_s + s.device_idle_s);
}
double bytes_a_second(const EngineStats& s) {
    return ratio(double(s.prefill_bytes + s.decode_bytes), s.prefill_s + s.decode_s);
}

// Null unless operations were timed on a device whose roofs are known.
Json roof_share(const EngineStats& s) {
    double seconds = 0, roof_seconds = 0;
    for (const EngineStats::Op& op : s.ops) {
        seconds += op.seconds;
        roof_seconds += op.roof_seconds;
    }
    return roof_seconds > 0 && seconds > 0 ? Json(roof_seconds / seconds) : Json();
}

Json json_of(const EngineStats& s) {
    return {{"prompt_tokens_computed", s.prompt_tokens},
            {"prompt_tokens_reused", s.reused_tokens},
            {"tokens_generated", s.new_tokens},
            {"requests_put_back", s.put_back},
            {"prefill",
             {{"steps", s.prefill_steps},
              {"seconds", s.prefill_s},
              {"tokens_per_s", prefill_rate(s)},
              {"mean_rows", ratio(double(s.prefill_rows), double(s.prefill_steps))}}},
            {"decode",
             {{"steps", s.decode_steps},
              {"seconds", s.decode_s},
              {"tokens_per_s", decode_rate(s)},
              {"mean_rows", ratio(double(s.decode_rows), double(s.decode_steps))}}},
            {"host_s", s.host_s},
            {"host_wait_s", s.host_wait_s},
            {"device_s", s.device_s},
            {"device_idle_share", idle_share(s)},
            {"bytes_per_s", bytes_a_second(s)},
            {"roof_share", roof_share(s)}};
}

Json json_of(const Model& model) {
    const CommonConfig& c = model.common();
    Json json = {{"path", model.path}, {"weight_bytes", model.weight_bytes}, {"layers", c.n_layers}};
    json["hidden"] = model.is_gpt2() ? model.gpt2().config.hidden_dim : model.gpt_oss().config.hidden_dim;
    if (!model.is_gpt2()) json["experts"] = model.gpt_oss().config.n_experts;
    json["vocabulary"] = c.vocab_size;
    return json;
}

EngineStats total_of(const Report& report) {
    EngineStats total;
    for (const DeviceStats& device : report.devices) total += device.stats;
    return total;
}

void print_percentiles(const char* what, const std::vector<float>& values) {
    log_line("{} (s): p50 {:.3f}, p90 {:.3f}, p99 {:.3f}", what, percentile(values, 50), percentile(values, 90),
             percentile(values, 99));
}

void print_device(const std::string& name, const EngineStats& s) {
    const double steps = double(s.prefill_steps + s.decode_steps);
    std::string text =
        fmt::format("{}: prefill {:.1f} tok/s, decode {:.1f} tok/s, {:.1f} rows a step", name, prefill_rate(s),
                    decode_rate(s), ratio(double(s.prefill_rows + s.decode_rows), steps));
    if (s.device_s > 0) text += fmt::format(", device idle {:.2f}%", 100 * idle_share(s));
    log_line("{}", text);
}

}  // namespace

double percentile(std::vector<float> values, double percent) {
    if (values.empty()) return 0;
    const auto rank = size_t(std::ceil(percent / 100 * double(values.size())));
    const auto at = values.begin() + long(std::max<size_t>(rank, 1)) - 1;
    std::nth_element(values.begin(), at, values.end());
    return double(*at);
}

void print_report(const Report& report) {
    const EngineStats total = total_of(report);
    log_line("requests: {} ok, {} failed", report.n_ok, report.n_failed);
    log_line("tokens: {} in prompts, {} of them reused, {} generated", report.n_prompt, total.reused_tokens,
             report.n_generated);
    log_line("load (s): {:f}", report.load_s);
    log_line("warm-up (s): {:f}", report.warm_up_s);
    log_line("elapsed (s): {:f}", report.inference_s);
    log_line("achieved throughput TPS (tok/s): {:f}", ratio(double(report.n_generated), report.inference_s));
    log_line("weights and KV cache read (GB/s): {:.2f}", 1e-9 * bytes_a_second(total));
    if (!report.request_s.empty()) {
        print_percentiles("time to first token", report.first_token_s);
        print_percentiles("time of a request", report.request_s);
    }
    for (const DeviceStats& device : report.devices) {
        const std::string name = device.name.substr(0, device.name.find(','));
        print_device(name, device.stats);
    }
    if (report.devices.size() > 1) print_device("all together", total);
    log_line("run hash: {:016x}", report.hash);
}

std::string report_json(const Report& report, const Model& model) {
    Json devices = Json::array();
    for (const DeviceStats& device : report.devices) {
        Json one = {{"name", device.name}};
        one.update(json_of(device.stats));
        devices.push_back(std::move(one));
    }
    const Json json = {
        {"error", report.error.empty() ? Json() : Json(report.error)},
        {"requests", {{"ok", report.n_ok}, {"failed", report.n_failed}}},
        {"tokens", {{"prompt", report.n_prompt}, {"generated", report.n_generated}}},
        {"seconds",
         {{"load", report.load_s}, {"warm_up", report.warm_up_s - report.load_s}, {"inference", report.inference_s}}},
        {"tokens_per_s", ratio(double(report.n_generated), report.inference_s)},
        {"first_token_s", percentiles(report.first_token_s)},
        {"request_s", percentiles(report.request_s)},
        {"run_hash", fmt::format("{:016x}", report.hash)},
        {"total", json_of(total_of(report))},
        {"devices", std::move(devices)},
        {"model", json_of(model)},
        {"machine", {{"host", host_name()}, {"cpus", std::thread::hardware_concurrency()}}},
        {"command", command_line()}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}
