// command_line.cpp: the flags of `run`, their checks and their help.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <limits>

#include "app/flags.h"
#include "base/numa.h"
#include "error.h"
#include "log.h"
#include "options.h"

namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();
// Most requests at once. On a CPU, enough that many share one reading of the weights. On a GPU, as many as a step
// holds: more would need a larger workspace and give no more throughput. KV pages limit them too.
constexpr int kDefaultInFlightCpu = 32, kDefaultInFlightGpu = 4096;

constexpr int kMostGpus = 1024;
constexpr int kApiCompletionTokens = 16;  // the API's default for completions

// "0.8" is a share; "64e9", and all that parse_bytes() takes, is a number of bytes.
void parse_gpu_memory(Options& o, const std::string& text) {
    const std::string expected = "a share from 0.01 to 1, or bytes, such as 64e9, 64GB or 60G";
    o.gpu_memory_bytes = 0;
    if (text.find_first_not_of("0123456789.eE+") != std::string::npos) {
        o.gpu_memory_bytes = parse_bytes("--gpu-memory", text, expected);
        return;
    }
    const double value = parse_number("--gpu-memory", text, 1e-2, 1e15, expected);
    if (value <= 1)
        o.gpu_memory = float(value);
    else if (value >= 1e6)
        o.gpu_memory_bytes = int64_t(value);
    else
        fail("--gpu-memory: expected {}, found \"{}\"", expected, text);
}

// "2" is how many, "0,2" is which ones, and "2," the third alone.
void parse_gpus(Options& o, const std::string& text) {
    const std::string expected = "how many, or numbers of GPUs with a comma, such as 0,2";
    o.gpus.clear();
    o.n_gpus = 0;
    if (text.find(',') == std::string::npos) {
        o.n_gpus = parse_number("--gpus", text, 0, kMostGpus, expected);
        return;
    }
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find(',', begin), text.size());
        const int gpu = parse_number("--gpus", text.substr(begin, end - begin), 0, kMostGpus, expected);
        if (std::find(o.gpus.begin(), o.gpus.end(), gpu) != o.gpus.end()) fail("--gpus: {} is there twice", gpu);
        o.gpus.push_back(gpu);
        begin = end + 1;
    }
    if (o.gpus.empty()) fail("--gpus: expected {}, found \"{}\"", expected, text);
}

void add_gpu_flags(CLI::App& app, Options& o) {
    app.add_option_function<std::string>(
           "-g,--gpus", [&o](const std::string& text) { parse_gpus(o, text); },
           "How many GPUs (0, the default: all), or which ones: 0,2; of those that HIP_, ROCR_ or\n"
           "CUDA_VISIBLE_DEVICES leave, which Slurm's --gres sets")
        ->type_name("N|LIST");
    add_number(app, "--gpus-per-replica", "--gpus-per-replica", o.gpus_per_replica, 1, kMostGpus,
               "an integer of at least 1",
               "Each copy of the model takes a chain of N GPUs, some layers on each (default: as few as its\n"
               "weights and the KV cache of a long request need)");
}

void add_device_memory_flags(CLI::App& app, Options& o) {
    app.add_option_function<std::string>(
           "--gpu-memory", [&o](const std::string& text) { parse_gpu_memory(o, text); },
           "How much of a GPU's free memory to use: a share (default 0.9) or bytes, such as 64GB")
        ->type_name("SHARE|BYTES");
    app.add_option_function<std::string>(
           "--kv-memory",
           [&o](const std::string& text) { o.kv_memory = parse_bytes("--kv-memory", text, kBytesExpected); },
           "At most this much KV cache on a device, in bytes or with K, M, G or T (default: what fits)")
        ->type_name("BYTES");
    const auto add_switch_off = [&app](const char* name, bool& what, const char* help) {
        app.add_flag_callback(
            name, [&what] { what = false; }, help);
    };
    add_switch_off("--no-peer-copies", o.peer_copies, "GPU: copy through host memory between the GPUs of a chain");
    add_switch_off("--no-prefix-cache", o.prefix_cache, "Compute every prompt from its first token on");
    add_switch_off("--no-graph", o.graphs, "GPU: launch kernels one by one instead of recorded steps");
    app.add_flag("--sync", o.synchronous, "GPU: wait after every kernel, to see which one fails");
    add_number(app, "--step-limit", "--step-limit", o.step_limit_s, 0.0f, 1e6f, "seconds, at least 0",
               "GPU: one that does not end a step in N seconds is given up, and others go on with its\n"
               "requests; 0: never (default 60)");
}

// The modes that each flag is for. In other modes it is an error: a user would believe that a flag which is ignored has
// worked.
enum ModeSet { kGenerate = 1, kChat = 2, kGetp = 4, kScore = 8, kServe = 16 };
constexpr struct {
    const char* flag;
    int modes;
    const char* hint;
} kFlagsOfModes[] = {
    {"--output", kGetp | kScore, "; the answer is on stdout"},
    {"--instructions", kGenerate | kChat | kGetp | kServe, ""},
    {"--steps", kGenerate | kChat | kGetp | kServe, ""},
    {"--temperature", kGenerate | kChat | kGetp | kServe, ""},
    {"--top-p", kGenerate | kChat | kGetp | kServe, ""},
    {"--top-k", kGenerate | kChat | kGetp | kServe, ""},
    {"--repetition-penalty", kGenerate | kChat | kGetp | kServe, ""},
    {"--num-tokens", kGenerate | kChat | kGetp | kServe, ""},
    {"--seed", kGenerate | kChat | kGetp | kServe, ""},
    {"--requests", kGetp | kScore, "; -T is the temperature"},
    {"--in-flight", kGetp | kScore | kServe, ""},
    {"--verify", kGetp, ""},
    {"--report", kGetp, ""},
    {"--overwrite", kGetp, ""},
    {"--retry-failed", kGetp, ""},
    {"--grace", kGetp | kServe, ""},
    {"--shard", kGetp, ""},
    {"--stale-after", kGetp, ""},
    {"--raw", kGenerate, ""},
    {"--chat", kGetp, "; -m chat is the mode"},
    {"--strict-fields", kGetp | kScore | kServe, ""},
    {"--reasoning", kGenerate | kChat | kGetp | kServe, ""},
    {"--strict-harmony", kGenerate | kChat | kGetp | kServe, ""},
    {"--no-reasoning", kGenerate | kChat, ""},
    {"--logits", kScore, ""},
    {"--input", kGenerate | kChat | kGetp | kScore, ""},
    {"--host", kServe, ""},
    {"--port", kServe, ""},
    {"--api-key", kServe, ""},
    {"--api-key-file", kServe, ""},
    {"--no-auth", kServe, ""},
    {"--served-name", kServe, ""},
    {"--queue", kServe, ""},
    {"--store", kServe, ""},
    {"--max-body", kServe, ""},
    {"--cors", kServe, ""},
    {"--no-web", kServe, ""},
    {"--metrics-prefix", kServe, ""},
    {"--reasoning-field", kServe, ""},
};
const std::map<std::string, int> kModes{
    {"generate", kGenerate}, {"chat", kChat}, {"getp", kGetp}, {"score", kScore}, {"serve", kServe}};

void check_flags_of_mode(const CLI::App& app, const std::string& mode) {
    for (const auto& [flag, modes, hint] : kFlagsOfModes) {
        if (app.get_option(flag)->count() == 0 || (modes & kModes.at(mode))) continue;
        std::string names;
        for (const auto& [name, bit] : kModes)
            if (modes & bit) names += (names.empty() ? "" : ", ") + name;
        fail("{}: for {} only, and the mode is {}{}", flag, names, mode, hint);
    }
}

// `run serve --help` lists what serve obeys.
void leave_out_flags_of_others(CLI::App& app) {
    for (const auto& [flag, modes, hint] : kFlagsOfModes)
        if (!(modes & kServe)) app.get_option(flag)->group("");
}

// An empty path is usually a script's variable that was never set.
void check_no_path_is_empty(const CLI::App& app) {
    for (const CLI::Option* option : app.get_options())
        if (option->count() > 0 && option->get_type_name() == "PATH" && option->as<std::string>().empty())
            fail("{}: expected a path, found \"\"", option->get_name());
}

// How HipGPT spells some flags.
const std::map<std::string, std::string> kOtherSpellings{
    {"--prompt", "--input"}, {"--num_tokens", "--num-tokens"}, {"--temp", "--temperature"},
    {"--top_p", "--top-p"},  {"--top_k", "--top-k"},           {"--rep-penalty", "--repetition-penalty"}};

// The arguments in this program's spelling. -f without 0 or 1 becomes -f 1.
std::vector<std::string> arguments(int argc, char** argv) {
    std::vector<std::string> args(argv + 1, argv + argc);
    if (!args.empty() && args[0] == "serve") args[0] = "--mode=serve";
    for (std::string& arg : args) {
        const size_t end = std::min(arg.find('='), arg.size());
        if (const auto other = kOtherSpellings.find(arg.substr(0, end)); other != kOtherSpellings.end())
            arg = other->second + arg.substr(end);
    }
    for (size_t i = 0; i < args.size(); i++) {
        if (args[i] != "-f" && args[i] != "--profile") continue;
        const bool has_value = i + 1 < args.size() && args[i + 1].find_first_not_of("0123456789") == std::string::npos;
        if (!has_value) args[i] = "--profile=1";
    }
    return args;
}

// The order is that of the help.
void add_flags_of_files(CLI::App& app, Options& o, std::string& checkpoint) {
    app.add_option("MODEL", o.model,
                   "A Hugging Face snapshot directory, an original/ directory, or a .bin file, of\n"
                   "gpt-oss or GPT-2 (llm.c's .bin, too).\n"
                   "Without it: $GETP_MODEL, else the demo model")
        ->type_name("PATH");
    app.add_option("-c,--checkpoint", checkpoint, "MODEL, as a flag")->type_name("PATH");
    std::map<std::string, std::string> modes;
    for (const auto& [name, bit] : kModes) modes[name] = name;
    add_choice(app, "-m,--mode", "--mode", o.mode, modes,
               "generate (default), chat, getp, score, or serve: run serve is the same");
    app.add_option("-i,--input", o.input, "generate, chat: the prompt; getp, score: the file of requests; -: stdin")
        ->type_name("TEXT|PATH");
    app.add_option("-o,--output", o.output, "getp, score: the file of answers; -: stdout")->type_name("PATH");
    app.add_option("-z,--tokenizer", o.tokenizer, "The tokenizer's file, or its directory, if not the model's own")
        ->type_name("PATH");
    app.add_option("-y,--instructions", o.instructions, "Developer message (what others call the system prompt)")
        ->type_name("TEXT");
}

void add_flags_of_requests(CLI::App& app, Options& o, bool& no_reasoning) {
    add_number(app, "-n,--steps", "--steps", o.steps, 0, kMaxInt, "an integer of at least 0",
               "Prompt and answer together, in tokens; 0: the model's context (default; 1024 in getp's text format)");
    add_number(
        app, "--num-tokens", "--num-tokens", o.max_new, 1, kMaxInt, "an integer of at least 1",
        "The answer alone, in tokens, at most (default: --steps sets the limit; max_tokens in a JSON line wins)");
    add_number(app, "-T,--temperature", "--temperature", o.temperature, 0.0f, 100.0f, "a number from 0 to 100",
               "0: always the most likely token (default; 1 in getp's JSON lines; generate and chat do as\n"
               "the model's generation_config.json says)");
    add_number(app, "-p,--top-p", "--top-p", o.top_p, 1e-6f, 1.0f, "a number above 0 and at most 1",
               "Sample from the likeliest tokens that together have this probability (default 0.9; 1 in getp's\n"
               "JSON lines; generate and chat as for -T)");
    add_number(app, "--top-k", "--top-k", o.top_k, 0, kMaxInt, "an integer of at least 0",
               "Sample from the N likeliest tokens; 0: from all (default; generate and chat as for -T)");
    add_number(app, "--repetition-penalty", "--repetition-penalty", o.repetition_penalty, float(kLeastPenalty),
               float(kMostPenalty), "a number from 0.01 to 100",
               "Tokens that prompt or answer have already: logits above 0 are divided by N, others multiplied;\n"
               "1: not (default)");
    add_number(app, "-s,--seed", "--seed", o.seed, uint64_t(0), UINT64_MAX, "an integer of at least 0",
               "Seed of the random numbers; 0: from the clock (default)");
    add_number(app, "-t,--requests", "--requests", o.max_requests, 0, kMaxInt, "an integer of at least 0",
               "getp, score: only the first N requests");
    add_number(
        app, "-b,--in-flight", "--in-flight", o.max_in_flight, 1, 65536, "an integer from 1 to 65536",
        "getp, score, serve: at most N requests at once on a device (default 32 on the CPU, 4096 on a GPU); fewer\n"
        "if their KV cache does not fit");
    add_gpu_flags(app, o);
    add_choice(app, "-f,--profile", "--profile", o.profile, {{"0", false}, {"1", true}},
               "1, or nothing: print where the time went");
    app.add_option("--report", o.report, "getp: write the run's figures to this file, as JSON")->type_name("PATH");
    app.add_option("-v,--verify", o.verify, "getp: compare the token ids with this file's")->type_name("PATH");
    app.add_flag("--raw", o.raw, "generate: continue the text as it stands, without the chat format");
    app.add_flag("--chat", o.chat_template, "getp, text format: each line is a user's message, not raw text");
    app.add_flag("--strict-fields", o.strict_fields,
                 "getp, score, serve: refuse JSON with unknown fields instead of warning");
    add_choice(app, "--reasoning", "--reasoning", o.effort,
               {{"low", Effort::kLow}, {"medium", Effort::kMedium}, {"high", Effort::kHigh}},
               "low, medium (default) or high");
    add_choice(app, "--strict-harmony", "--strict-harmony", o.strict_harmony, {{"on", true}, {"off", false}},
               "on: the model can draw no headers but those of the chat format, with the request's tools\n"
               "(default in serve); off: it draws freely, and what is wrong is put right (default elsewhere)");
    app.add_flag("--no-reasoning", no_reasoning, "generate, chat: do not show the reasoning");
    app.add_option("--logits", o.logits, "score: write the logits of every position here, raw float32")
        ->type_name("PATH");
}

void add_flags_of_jobs(CLI::App& app, Options& o) {
    app.add_flag("--overwrite", o.overwrite,
                 "getp: replace an existing output; without this flag, the command that made the output goes on\n"
                 "with what is missing, and any other command is refused");
    app.add_flag("--retry-failed", o.retry_failed, "getp: run the requests again that failed in earlier runs");
    add_number(app, "--grace", "--grace", o.grace_s, 0.0f, 1e6f, "seconds, at least 0",
               "getp: after SIGTERM, SIGINT or SIGUSR1, requests that have begun have N seconds to end\n"
               "(default 10); serve: after SIGTERM or SIGINT, those that wait, too (default 30)");
    app.add_option("--shard", o.shard,
                   "getp: this is process I, counted from 0, of N that share the job (default: what Slurm's or\n"
                   "Kubernetes' variables say); none: it works alone")
        ->type_name("I/N");
    add_number(app, "--stale-after", "--stale-after", o.stale_after_s, 0.1f, 1e6f, "seconds, at least 0.1",
               "getp: another process does the work of one that gave no sign of life for N seconds (default 60)");
}

void add_flags_of_engine(CLI::App& app, Options& o) {
    add_choice(app, "--precision", "--precision", o.precision, {{"f32", Precision::kF32}, {"bf16", Precision::kBF16}},
               "f32: nothing is rounded below f32, on the CPU; bf16: one rounding at each matrix input, to\n"
               "bf16 or finer, and a bf16 KV cache (default: bf16 on GPUs and with AMX, AVX-512 VNNI or\n"
               "AVX2, else f32)");
    add_choice(app, "--device", "--device", o.device, {{"auto", "auto"}, {"cpu", "cpu"}, {"gpu", "gpu"}},
               "auto (default: GPUs that this program can use, else the CPU), cpu or gpu");
    add_choice(app, "--cpu-isa", "--cpu-isa", o.cpu_isa,
               {{"amx", "amx"},
                {"avx512-bf16", "avx512-bf16"},
                {"avx512-vnni", "avx512-vnni"},
                {"avx512", "avx512"},
                {"avx2", "avx2"},
                {"neon", "neon"},
                {"portable", "portable"}},
               "CPU: amx, avx512-bf16, avx512-vnni, avx512, avx2, neon or portable (default: the fastest it has)");
    add_device_memory_flags(app, o);
    app.add_flag("--reference", o.reference, "Compute with the plain reference code: slow, the definition of right");
    app.add_flag("--swap-embeddings", o.open.swap_legacy_embeddings,
                 "legacy .bin: the unembedding stands before the embedding");
    app.add_flag("--verify-model", o.verify_model,
                 "Read all of the model first: every number must be finite, in a .bin every checksum right");
}

}  // namespace

Options parse_command_line(int argc, char** argv) {
    Options o;
    CLI::App app("Runs gpt-oss and GPT-2 models: one answer, a chat, a file of requests, or scores.", "run");
    std::string checkpoint;
    bool no_reasoning = false;

    add_flags_of_files(app, o, checkpoint);
    add_flags_of_requests(app, o, no_reasoning);
    add_flags_of_jobs(app, o);
    add_flags_of_serve(app, o.serve);
    add_flags_of_engine(app, o);
    const std::vector<std::string> args = arguments(argc, argv);
    if (!args.empty() && args[0] == "--mode=serve") leave_out_flags_of_others(app);
    app.footer(
        "Exit codes: 0 all well; 1 a request failed; 2 bad usage or input, nothing was done; 75 getp was stopped, and\n"
        "the same command goes on.\n"
        "run export SRC DST [--to KIND] converts a checkpoint, run verify MODEL looks for damage in one, run merge "
        "OUT\n"
        "puts together what several processes of getp have written; --help after each says more. run build, test,\n"
        "demo, bench and fuzz start ./run.sh.");
    parse_flags(app, args);

    check_no_path_is_empty(app);
    check_flags_of_mode(app, o.mode);
    if (app.get_option("--input")->count() > 0 && o.input.empty())
        fail("--input: expected {}, found \"\"", o.mode == "generate" || o.mode == "chat" ? "a prompt" : "a path");
    if (!checkpoint.empty()) {
        if (!o.model.empty()) fail("--checkpoint: the model is given twice, \"{}\" and \"{}\"", o.model, checkpoint);
        o.model = checkpoint;
    }
    o.show_reasoning = !no_reasoning;
    if (o.mode == "serve") {
        if (app.get_option("--strict-harmony")->count() == 0) o.strict_harmony = true;
        o.completion_tokens = kApiCompletionTokens;
        o.special_tokens = false;
    }
    o.seed_given = o.seed != 0;
    if (!o.seed_given) o.seed = uint64_t(std::time(nullptr));
    return o;
}

void prepare_model(const Options& options, const Model& model) {
    if (options.verify_model) verify_model(model, show_progress);
    log_clear_status();
    if (engine_options(options, 1).gpu) return;  // the GPU's loader reads everything in order
    if (const std::vector<int> nodes = memory_nodes(); nodes.size() > 1) interleave_memory(nodes);
    read_ahead(model, show_progress);
    log_clear_status();
}

EngineOptions engine_options(const Options& options, int max_sequences) {
    EngineOptions e;
    const bool cpu_only = options.device == "cpu" || options.reference || options.precision == Precision::kF32;
    if (options.device == "gpu") {
        if (cpu_only) fail("--device gpu: --reference and --precision f32 run on the CPU only");
        if (usable_gpus() == 0) fail("--device gpu: {}", gpu_trouble());
    }
    e.gpu = !cpu_only && usable_gpus() > 0;
    const int n_gpus = std::max(options.n_gpus, int(options.gpus.size()));
    if (n_gpus > 0 && (cpu_only || n_gpus > usable_gpus()))
        fail("--gpus: expected at most {}, found {}", cpu_only ? 0 : usable_gpus(), n_gpus);
    if (options.gpus_per_replica > 0 && !e.gpu) fail("--gpus-per-replica: there is no GPU to run on");
    e.n_gpus = options.n_gpus;
    e.gpus = options.gpus;
    e.gpus_per_replica = options.gpus_per_replica;
    e.peer_copies = options.peer_copies;
    e.precision = options.precision;
    e.max_sequences = max_sequences > 0           ? max_sequences
                      : options.max_in_flight > 0 ? options.max_in_flight
                                                  : (e.gpu ? kDefaultInFlightGpu : kDefaultInFlightCpu);
    e.max_request_positions = options.steps.value_or(0);
    e.gpu_memory = double(options.gpu_memory);
    e.gpu_memory_bytes = options.gpu_memory_bytes;
    e.kv_bytes = options.kv_memory;
    e.prefix_cache = options.prefix_cache;
    e.graphs = options.graphs;
    e.synchronous = options.synchronous;
    e.step_limit_s = double(options.step_limit_s);
    e.profile = options.profile;
    e.cpu_isa = options.cpu_isa;
    e.reference = options.reference;
    return e;
}
