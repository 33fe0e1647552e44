// fuzz_http.cpp: bytes from a connection, whole and in portions: the same requests, or the same error.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "serve/http_parser.h"

namespace {

constexpr int64_t kMostBody = 4096;

// What was read, in one text that can be compared.
std::string read_all(std::string_view bytes, size_t portion) {
    HttpParser parser(kMostBody);
    std::string all;
    while (!bytes.empty()) {
        const size_t n = parser.feed(bytes.substr(0, portion));
        bytes.remove_prefix(n);
        if (parser.error_status() != 0) return all + "error " + std::to_string(parser.error_status());
        if (!parser.is_done()) continue;
        HttpRequest& request = parser.request();
        all += request.method + " " + request.path + " " + request.body + "\n";
        for (const auto& [name, value] : request.headers) all += name + ":" + value + "\n";
        if (request.body.size() > size_t(kMostBody)) std::abort();
        parser.reset();
    }
    return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::string whole = read_all(bytes, size);
    for (const size_t portion : {size_t(1), size_t(7)}) {
        if (read_all(bytes, portion) == whole) continue;
        std::fprintf(stderr, "fuzz_http: in portions of %zu it reads otherwise\n", portion);
        std::abort();
    }
    return 0;
}
