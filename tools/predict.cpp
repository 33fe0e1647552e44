// predict.cpp: predicts getp's throughput on devices that are not at hand, and on one that is, beside what was
// measured.
//
//     build/predict                        all the predictions in docs/performance.md, as a table
//     build/predict DEVICE LARGE REPLICAS CHAIN REQUESTS IN OUT IN_FLIGHT     one run; LARGE: 1 for 120b
#include <cstdio>
#include <cstdlib>

#include "error.h"
#include "gpt_oss_config.h"
#include "predict/simulation.h"

namespace {

struct Case {
    const char* device;
    bool large;  // 120b
    int n_replicas, chain;
    Workload workload;
    double measured;  // tokens a second; 0: not measured
    double memory_bytes = 0;
};

// docs/performance.md, "Two GPUs: chains and prefixes" and "Requests in flight".
const Case kCases[] = {
    {"H200", false, 1, 1, {1, 14, 512, 1}, 524},         {"H200", false, 1, 1, {4, 14, 512, 4}, 1351},
    {"H200", false, 1, 1, {16, 14, 512, 16}, 3454},      {"H200", false, 1, 1, {64, 14, 512, 64}, 9018},
    {"H200", false, 1, 1, {256, 14, 512, 256}, 25221},   {"H200", false, 1, 1, {512, 14, 512, 512}, 32634},
    {"H200", false, 1, 1, {1024, 14, 512, 1024}, 41647}, {"H200", false, 1, 1, {2048, 14, 512, 2048}, 47333},
    {"H200", false, 1, 1, {4096, 14, 512, 4096}, 49626}, {"H200", false, 1, 1, {2048, 1024, 1024}, 21671},
    {"H200", false, 2, 1, {4096, 14, 256, 1024}, 84650}, {"H200", false, 1, 2, {8192, 14, 512}, 91375},
    {"H200", true, 1, 1, {1024, 14, 256}, 18085},        {"H200", true, 1, 2, {1024, 14, 256}, 18784},
    {"H200", true, 1, 1, {8192, 14, 128}, 28816},        {"H200", true, 1, 2, {8192, 14, 128}, 49741},
    {"H200", true, 1, 1, {512, 1024, 1024}, 4361, 80e9}, {"H200", true, 1, 2, {512, 1024, 1024}, 10277, 64e9},
    {"MI250", false, 1, 1, {4096, 14, 512}, 0},          {"MI250", false, 2, 1, {4096, 14, 512}, 0},
    {"MI250", false, 8, 1, {16384, 14, 512}, 0},         {"MI250", false, 1, 1, {1024, 1024, 1024}, 0},
    {"MI250", true, 1, 2, {1024, 14, 512}, 0},           {"MI250", true, 4, 2, {4096, 14, 512}, 0},
    {"MI250-limit", false, 1, 1, {4096, 14, 512}, 0},    {"MI250-limit", true, 1, 2, {1024, 14, 512}, 0},
    {"MI300X", false, 1, 1, {4096, 14, 512}, 0},         {"MI300X", true, 1, 1, {4096, 14, 512}, 0},
    {"MI300X-limit", false, 1, 1, {4096, 14, 512}, 0},
};

void print(const Case& c) {
    const Setup setup{predicted_device(c.device), c.n_replicas, c.chain, c.memory_bytes};
    if (!setup.device) fail("{}: expected H200, MI250, MI300X, MI250-limit or MI300X-limit", c.device);
    const Workload& w = c.workload;
    const Prediction p = predict(setup, gpt_oss_config(c.large), w);
    std::printf("| %s, %d x %d | %s | %d x (%d in, %d out), %d in flight | %.0f | %.0f |", c.device, c.n_replicas,
                c.chain, c.large ? "120b" : "20b", w.n_requests, w.n_prompt, w.n_answer, w.max_in_flight, p.mean_rows,
                p.tokens_per_s);
    if (c.measured > 0)
        std::printf(" %.0f | %+.1f %% |\n", c.measured, 100 * (p.tokens_per_s / c.measured - 1));
    else
        std::printf(" | |\n");
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 1 && argc != 9) fail("usage: {} [DEVICE LARGE REPLICAS CHAIN REQUESTS IN OUT IN_FLIGHT]", argv[0]);
    std::printf(
        "| device, replicas x devices of each | model | requests | rows a step | predicted tok/s | measured | "
        "error |\n|---|---|---|--:|--:|--:|--:|\n");
    if (argc == 1) {
        for (const Case& c : kCases) print(c);
        return kExitOk;
    }
    const auto number = [&](int i) { return std::atoi(argv[i]); };
    print({argv[1], number(2) != 0, number(3), number(4), {number(5), number(6), number(7), number(8)}, 0});
    return kExitOk;
} catch (const std::exception& e) {
    std::fprintf(stderr, "predict: %s\n", e.what());
    return kExitUsage;
}
