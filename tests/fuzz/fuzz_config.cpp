// fuzz_config.cpp: any bytes as each configuration of a checkpoint. What was read must be written as JSON that can be
// read.
#include <cstdint>
#include <string_view>

#include "error.h"
#include "model/config.h"
#include "model/gpt2.h"
#include "support/json.h"

namespace {

template <class Read>
void ignore_errors(Read&& read) {
    try {
        read();
    } catch (const Error&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    ignore_errors([&] {
        const HuggingFaceConfig hf = read_huggingface_config(text, "fuzz");
        const std::string written = huggingface_config_json(hf.config, hf.attention_bias, false).dump();
        rope_inv_freq(read_huggingface_config(written, "written").config);
    });
    ignore_errors([&] { read_gpt2_config(gpt2_config_json(read_gpt2_config(text, "fuzz")).dump(), "written"); });
    ignore_errors([&] { rope_inv_freq(read_original_config(text, "fuzz")); });
    ignore_errors([&] {
        Config config;
        config.vocab_size = 201088;
        read_generation_config(text, "fuzz", config);
        read_generation_config(generation_config_json(config).dump(), "written", config);
    });
    return 0;
}
