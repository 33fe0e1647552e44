// options.h: the command line of `run`, parsed, and the modes that it selects.
//
// Letters and defaults are the getp family's; every letter has a long name too.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint.h"
#include "engine.h"
#include "model.h"
#include "requests.h"

// What `run serve` alone obeys.
struct ServeOptions {
    std::string host = "127.0.0.1";
    int port = 8000;                    // 0: one that is free
    std::vector<std::string> api_keys;  // any of them opens; none: no key is needed
    std::string api_key_file;           // one key a line
    bool no_auth = false;               // other hosts may come without a key
    std::vector<std::string> names;     // of the model; none: its folder's
    int store = 1000;                   // responses that are kept for their clients, at most
    int queue = -1;                     // requests that may wait; -1: four times as many as run at once
    int64_t max_body_bytes = int64_t(8) << 20;
    std::vector<std::string> cors;  // origins whose pages may ask; "*": all
    bool page = true;               // false: --no-web
    std::string metrics_prefix = "vllm";
    std::string reasoning_field = "both";  // reasoning, reasoning_content, both, none
};

// -i, -t, -y, -n, -T, -p and -s are in RequestOptions. generate and chat obey them too: the input is their prompt.
struct Options : RequestOptions {
    std::string mode = "generate";  // -m: generate, chat, getp, score, serve
    std::string model;              // positional or -c; "": $GETP_MODEL, else the demo model
    std::string tokenizer;          // -z; "": the model's own
    std::string output;             // -o: getp and score write here; "" is stdout for score
    bool overwrite = false;         // getp: replace an existing output
    bool retry_failed = false;      // getp: run failed requests again
    std::optional<float> grace_s;   // time that requests which have begun get after a signal; absent: the mode's
    std::string shard;              // getp: "i/n": this is process i of n; "": not said
    float stale_after_s = 60;       // getp: take over claims that were not renewed for this time
    bool seed_given = false;        // false: `seed` is from the clock
    int max_in_flight = 0;          // -b; 0: 32 on the CPU, 4096 on a GPU
    bool profile = false;           // -f
    std::string report;             // --report: getp's figures go there, as JSON
    std::string verify;             // -v: getp compares its token ids with those in this file
    int n_gpus = 0;                 // -g N; 0: all
    std::vector<int> gpus;          // -g LIST: which ones; empty: the first n_gpus
    int gpus_per_replica = 0;       // 0: as few as can hold the model
    bool raw = false;               // generate: continue the text as it stands, no harmony
    bool show_reasoning = true;
    std::string logits;                  // score: raw logits go here
    std::optional<Precision> precision;  // absent: the device's fast one
    std::string device = "auto";         // auto, cpu, gpu
    std::string cpu_isa;                 // "": the best that this CPU has
    float gpu_memory = 0.9f;             // share of a GPU's free memory
    int64_t gpu_memory_bytes = 0;        // bytes instead of a share; 0: the share
    bool peer_copies = true;             // false: --no-peer-copies
    int64_t kv_memory = 0;               // bytes of KV cache on a device; 0: what fits
    bool prefix_cache = true;            // false: --no-prefix-cache
    bool graphs = true;                  // false: --no-graph
    bool synchronous = false;            // --sync: wait after every kernel
    float step_limit_s = 60;             // --step-limit: a GPU that takes longer is given up; 0: never
    bool reference = false;              // compute with the plain reference path
    bool verify_model = false;           // read and check all of the model before anything else
    OpenOptions open;
    ServeOptions serve;
};

// Throws Error for a bad flag or value. --help prints the help and exits.
Options parse_command_line(int argc, char** argv);
// What GPT-2 changes about a run: it continues text and has no chat format; the token that ends a text may be known to
// its tokenizer only. Throws Error if the options ask for more.
void adapt_to_gpt2(const Options& options, Model& model);
// Before a mode runs: verifies the model if asked to. On the CPU, spreads memory over NUMA nodes and reads the parts of
// the model that are not in memory yet, with a progress line on a terminal.
void prepare_model(const Options& options, const Model& model);
// `run export SRC DST [--to KIND]` and `run verify MODEL`: argv[0] is "export" or "verify".
int export_command(int argc, char** argv);
int verify_command(int argc, char** argv);

// The engine's options; `max_sequences` is the mode's, 0: what -b says. Throws Error for a device that is not there.
EngineOptions engine_options(const Options& options, int max_sequences);

// Each mode returns the exit code; bad input throws Error. Answers go to stdout or -o, everything else to stderr.
int generate(const Options& options, const Model& model);
int chat(const Options& options, const Model& model);
int getp(const Options& options, const Model& model);
int score(const Options& options, const Model& model);
int serve(const Options& options, const Model& model);  // prepares the model itself, while it listens
