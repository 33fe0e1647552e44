// model_commands.cpp: `run export` and `run verify`: what the program does with a checkpoint other than running it.
#include <CLI/CLI.hpp>

#include "app/flags.h"
#include "checkpoint.h"
#include "error.h"
#include "log.h"
#include "options.h"
#include "tokenizer.h"

namespace {

// The snapshot of a model that Hugging Face's tools have downloaded.
std::string cached_snapshot(const std::string& model_id) {
    std::string looked_in;
    if (const std::optional<std::string> found = find_in_hub_cache(model_id, &looked_in)) return *found;
    fail("--model-id: expected a model that has been downloaded, found none in {}; hf download {} fetches it",
         looked_in, model_id);
}

struct ExportPaths {
    std::vector<std::string> positional;  // SRC and DST, unless flags name them
    std::string snapshot, model_id, output;
};

// Source and destination, each from its flag or its position.
std::pair<std::string, std::string> source_and_destination(ExportPaths paths) {
    if (!paths.snapshot.empty() && !paths.model_id.empty()) fail("--model-id: the source is given twice");
    if (!paths.model_id.empty()) paths.snapshot = cached_snapshot(paths.model_id);
    std::vector<std::string>& left = paths.positional;
    const auto take = [&](const std::string& flag, const char* what) {
        if (!flag.empty()) return flag;
        if (left.empty()) fail("{}: expected a path, found none (run export --help lists the flags)", what);
        const std::string path = left.front();
        left.erase(left.begin());
        return path;
    };
    const std::string source = take(paths.snapshot, "SRC"), destination = take(paths.output, "DST");
    if (!left.empty()) fail("export: expected a source and a destination, found \"{}\" too", left.front());
    if (destination.empty()) fail("DST: expected a path, found an empty one");
    return {source, destination};
}

}  // namespace

int export_command(int argc, char** argv) {
    CLI::App app("Writes a checkpoint as another kind. The new file appears under its name only when it is complete.",
                 "run export");
    ExportPaths paths;
    ExportOptions options;
    OpenOptions open;
    app.add_option("SRC DST", paths.positional,
                   "Any checkpoint that run can open; a new file, or for hf, bf16 and\n"
                   "original a new directory")
        ->expected(0, 2);
    app.add_option("--snapshot", paths.snapshot, "SRC, as a flag")->type_name("DIR");
    app.add_option("--model-id", paths.model_id,
                   "SRC: a model in the cache of Hugging Face's tools, such as\nopenai/gpt-oss-20b; downloads nothing")
        ->type_name("NAME");
    app.add_option("-o,--output", paths.output, "DST, as a flag")->type_name("PATH");
    add_choice(
        app, "--to", "--to", options.kind,
        {{"bin", ExportKind::kContainer},
         {"hf", ExportKind::kHuggingFace},
         {"bf16", ExportKind::kDequantised},
         {"original", ExportKind::kOriginal},
         {"legacy-f32", ExportKind::kLegacyF32},
         {"legacy-bf16", ExportKind::kLegacyBF16},
         {"llmc-f32", ExportKind::kLlmcF32},
         {"llmc-bf16", ExportKind::kLlmcBF16}},
        "bin (default): one file with config and tokenizer in it;\nhf: a snapshot directory; bf16: the same with "
        "experts in bf16, as\ntools/dequantize_to_bf16.py writes it; original: OpenAI's layout;\nlegacy-f32, "
        "legacy-bf16: the getp family's .bin;\nof GPT-2: hf, or llmc-f32, llmc-bf16: llm.c's .bin, with\n"
        "gpt2_tokenizer.bin beside DST");
    app.add_option("-z,--tokenizer", options.tokenizer_path, "The tokenizer to put in, if not the source's own")
        ->type_name("PATH");
    app.add_flag("--overwrite", options.overwrite, "Replace DST, if it is a file; else it must be new");
    app.add_flag("--swap-embeddings", open.swap_legacy_embeddings,
                 "legacy SRC: the unembedding stands before the embedding");
    parse_flags(app, {argv + 1, argv + argc});

    const auto [source, destination] = source_and_destination(paths);
    options.progress = show_progress;
    options.note = [](const std::string& line) { log_line("{}", line); };
    const Model model = open_model(source, open);
    export_model(model, destination, options);
    log_clear_status();
    log_line("{}: written from {}", destination, source);
    return kExitOk;
}

int verify_command(int argc, char** argv) {
    CLI::App app("Reads all of a checkpoint: every number must be finite, and in a .bin every checksum right.",
                 "run verify");
    std::string path;
    app.add_option("MODEL", path, "Any checkpoint that run can open")->required();
    parse_flags(app, {argv + 1, argv + argc});
    const Model model = open_model(path);
    verify_model(model, show_progress);
    log_clear_status();
    if (!model.tokenizer_data.empty()) Tokenizer::for_model(model);  // throws if it is damaged
    log_line("{}: no damage found in {:.1f} MB", path, double(model.weight_bytes) * 1e-6);
    return kExitOk;
}
