// fuzz_request_files.cpp: any bytes as a file of requests, text or JSON lines; and as the file that --verify compares
// with.
#include <cstdint>
#include <optional>

#include "error.h"
#include "fuzz_file.h"
#include "requests.h"
#include "support/byte_tokenizer.h"

namespace {

constexpr int kRequests = 20;

void read_requests(const std::string& path, bool chat) {
    static const TextCodec codec(byte_tokenizer());
    RequestOptions options;
    options.input = path;
    options.chat_template = chat;
    options.max_requests = kRequests;
    Config config;
    config.vocab_size = kByteVocab;
    config.max_context = 1000;
    RequestReader reader(options, config, codec, chat ? Purpose::kAnswer : Purpose::kScore);
    while (reader.next()) {
    }
}

void compare(const std::string& path) {
    Verifier verifier(path);
    for (int i = 0; i < kRequests; i++) verifier.compare({1, 2, 3});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const FuzzFile file;
    file.write(data, size);
    for (int what = 0; what < 3; what++) {
        try {
            what == 2 ? compare(file.path()) : read_requests(file.path(), what == 1);
        } catch (const Error&) {
        }
    }
    return 0;
}
