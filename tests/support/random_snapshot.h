// random_snapshot.h: writes a Hugging Face snapshot of gpt-oss with seeded random weights: names, shapes and dtypes of
// a real one, the same bytes on every machine. Tests make their models with it, and make_snapshot the demo.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

struct SnapshotSpec {
    std::string preset = "tiny";        // tiny, demo, 20b, 120b
    std::string format = "mxfp4";       // or bf16: the experts
    std::vector<std::string> settings;  // "key=JSON" for config.json; "rope_scaling.factor=8" reaches inside
    uint32_t seed = 1;
    int shards = 1;
    bool shared_layers = false;  // layers 2, 4, ... repeat layer 0, layers 3, 5, ... layer 1: faster to make
    bool tokenizer = false;      // also a tokenizer.json of bytes; demo has it always
};

// Writes into `directory`, which is made if it is not there. Throws Error.
void write_random_snapshot(const std::string& directory, const SnapshotSpec& spec);
