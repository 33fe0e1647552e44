// bench_step.cpp: whole steps at the sizes of gpt-oss: time, tokens, bytes, operations, share of the roof that binds,
// share of time that the device is idle between steps.
//
//   bench_step [20b|120b] [CONTEXT]      positions of each sequence when decoding, default 256
//
// Weights are noise made here. Decode steps are replayed from a graph where there are graphs, as in a real run.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../gpt_oss_config.h"
#include "error.h"
#include "gpu/roofs.h"
#include "step_bench.h"
#include "synthetic_model.h"

namespace {

constexpr int kDecodeRounds = 30, kPrefillRounds = 5, kPrompt = 2048;

void print(const std::string& what, const StepTime& t, const Roofs& roofs) {
    std::printf("%-28s %9.3f %10.0f %8.2f %8.0f %9.1f %6.1f%% %6.2f%%\n", what.c_str(), 1e3 * t.seconds,
                t.n_tokens / t.seconds, t.bytes * 1e-9, t.bytes * 1e-9 / t.seconds, t.flop * 1e-12 / t.seconds,
                100 * roofs.seconds(t.bytes, t.flop) / t.seconds, 100 * t.idle);
    std::fflush(stdout);
}

void bench(bool large, int context) {
    const Roofs roofs = measure_roofs(0, nullptr);
    std::printf("%s, %s: copy %.0f GB/s, bf16 matrix peak %.0f TFLOP/s\n", gpu::device_info(0).name.c_str(),
                large ? "120b" : "20b", roofs.bytes_per_s * 1e-9, roofs.flop_per_s * 1e-12);
    const SyntheticModel synthetic(gpt_oss_config(large));
    StepBench steps(synthetic.model(), 512, std::max(context, kPrompt));
    std::printf("%-28s %9s %10s %8s %8s %9s %7s %7s\n", "step", "ms", "tok/s", "GB", "GB/s", "TFLOP/s", "of roof",
                "idle");
    for (const int n_seq : {1, 4, 16, 64, 256, 512}) {
        const std::string what = "decode " + std::to_string(n_seq) + " at " + std::to_string(context);
        if (n_seq <= steps.max_sequences())
            print(what, steps.decode(n_seq, context, kDecodeRounds), roofs);
        else
            std::printf("%-28s no room for the KV cache\n", what.c_str());
    }
    for (const int n_prompts : {1, 8})
        if (n_prompts <= steps.max_sequences())
            print("prefill " + std::to_string(n_prompts) + " of " + std::to_string(kPrompt),
                  steps.prefill(n_prompts, kPrompt, kPrefillRounds), roofs);
}

}  // namespace

int main(int argc, char** argv) {
    const bool large = argc > 1 && std::strcmp(argv[1], "120b") == 0;
    const int context = argc > 2 ? std::atoi(argv[2]) : 256;
    if (argc > 3 || (argc > 1 && !large && std::strcmp(argv[1], "20b") != 0) || context < 1 || context > 131072) {
        std::fputs("bench_step: expected [20b|120b] [CONTEXT], CONTEXT from 1 to 131072\n", stderr);
        return 2;
    }
    if (usable_gpus() == 0) {
        std::fprintf(stderr, "bench_step: %s\n", gpu_trouble().c_str());
        return 2;
    }
    try {
        bench(large, context);
    } catch (const Error& e) {
        std::fprintf(stderr, "bench_step: %s\n", e.what());
        return 2;
    }
}
