// make_snapshot.cpp: writes a gpt-oss snapshot, or a GPT-2 in llm.c's files, with random weights, for tests and timing.
//
//   make_snapshot --preset demo --out DIR
//   make_snapshot --preset 20b --shared-layers --out DIR            # 13.8 GB, for timing
//   make_snapshot --preset gpt2-124M --format bf16 --out DIR        # DIR/model.bin, DIR/gpt2_tokenizer.bin
//   make_snapshot --preset tiny --set sliding_window=7 --out DIR    # any value of config.json
#include <CLI/CLI.hpp>
#include <cstdio>

#include "error.h"
#include "support/random_gpt2.h"
#include "support/random_snapshot.h"

int main(int argc, char** argv) {
    CLI::App app(
        "Writes a gpt-oss snapshot in the Hugging Face layout, or a GPT-2 in llm.c's, with seeded random weights.",
        "make_snapshot");
    SnapshotSpec spec;
    std::string out;
    app.add_option("--preset", spec.preset, "tiny, demo, 20b, 120b; gpt2-tiny, gpt2-odd, gpt2-124M, gpt2-355M")
        ->capture_default_str();
    app.add_option("--format", spec.format, "The experts: mxfp4 or bf16; GPT-2: f32, or bf16")->capture_default_str();
    app.add_option("--set", spec.settings, "KEY=JSON: a value of config.json; rope_scaling.factor=8 reaches inside");
    app.add_option("--seed", spec.seed)->capture_default_str();
    app.add_option("--shards", spec.shards, "Number of files")->capture_default_str()->check(CLI::PositiveNumber);
    app.add_flag("--shared-layers", spec.shared_layers, "Layer 2 repeats layer 0, 3 repeats 1, ...: faster to make");
    app.add_flag("--tokenizer", spec.tokenizer, "Also write a tokenizer.json of bytes and special tokens");
    app.add_option("--out", out, "The directory")->required();
    CLI11_PARSE(app, argc, argv);
    try {
        if (spec.preset.rfind("gpt2-", 0) == 0)
            write_llmc_gpt2(out, gpt2_preset(spec.preset), spec.format == "bf16" ? DType::kBF16 : DType::kF32);
        else
            write_random_snapshot(out, spec);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "make_snapshot: %s\n", e.what());
        return kExitUsage;
    }
    std::fprintf(stderr, "%s: written\n", out.c_str());
    return kExitOk;
}
