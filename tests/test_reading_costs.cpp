// test_reading_costs.cpp: how much memory reading takes, counted by this file's operator new, which all tests share.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/json.h"
#include "model/safetensors.h"
#include "requests.h"
#include "requests/request_body.h"
#include "requests/request_line.h"
#include "support/byte_tokenizer.h"
#include "temp_folder.h"

namespace {

std::atomic<int64_t> live_bytes{0}, peak_bytes{0};

}  // namespace

#ifndef SANITIZED  // AddressSanitizer has its own
namespace {

void* counted(void* p) {
    const int64_t now = live_bytes += int64_t(malloc_usable_size(p));
    for (int64_t peak = peak_bytes; now > peak && !peak_bytes.compare_exchange_weak(peak, now);) continue;
    return p;
}

void release(void* p) {
    live_bytes -= int64_t(malloc_usable_size(p));
    std::free(p);
}

}  // namespace

void* operator new(size_t n) {
    if (void* p = counted(std::malloc(n ? n : 1))) return p;
    throw std::bad_alloc();
}
void* operator new(size_t n, const std::nothrow_t&) noexcept {
    return counted(std::malloc(n ? n : 1));
}
void* operator new(size_t n, std::align_val_t alignment) {
    const size_t a = size_t(alignment);
    if (void* p = counted(std::aligned_alloc(a, (n + a - 1) & ~(a - 1)))) return p;
    throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
    release(p);
}
void operator delete(void* p, size_t) noexcept {
    release(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
    release(p);
}
void operator delete(void* p, size_t, std::align_val_t) noexcept {
    release(p);
}
#endif

namespace {

// The most that `f` holds at a time beyond what was there before it.
template <class F>
int64_t peak_of(const F& f) {
    const int64_t before = live_bytes;
    peak_bytes = before;
    f();
    return peak_bytes - before;
}

std::string repeated(const std::string& piece, int n) {
    std::string text = "[" + piece;
    text.reserve(size_t(n) * (piece.size() + 1) + 2);
    for (int i = 1; i < n; i++) text += "," + piece;
    return text + "]";
}

class ReadingCosts : public testing::Test {
    void SetUp() override {
#ifdef SANITIZED
        GTEST_SKIP() << "nothing is counted";
#endif
    }
};

constexpr int kMany = 1000000;
constexpr int64_t kConstant = 16 << 20;  // for what has limits of its own

TEST_F(ReadingCosts, AValueIsReadWhereItLies) {
    for (const char* piece : {"1", "{}", "[]", "\"\"", "{\"a\":1}", "\"\\u00e4\""}) {
        const std::string text = repeated(piece, kMany);
        const auto read = [&] {
            const Json value = parse_json(std::string_view(text), "f");
            EXPECT_EQ(value.size(), kMany);
            for (const Json& element : value) EXPECT_FALSE(element.is_null());
        };
        EXPECT_LT(peak_of(read), 1000) << piece;
    }
}

// The reader holds the line, and a second copy while it grows: twice its size is allowed.
TEST_F(ReadingCosts, ARequestTakesAtMostTwiceItsLine) {
    const std::string user = R"({"role":"user","content":"x"})";
    const std::string chat = R"({"messages":[)" + user + "]";
    std::vector<std::string> lines = {
        R"({"prompt":)" + repeated("1", kMany) + "}",
        R"({"prompt":")" + std::string(kMany, 'x') + "\"}",
        R"({"prompt":")" + repeated("\\n", kMany) + "\"}",
        R"({"messages":[{"role":"user","content":")" + std::string(kMany, 'x') + "\"}]}",
        R"({"messages":)" + repeated(user, 30000) + "}",
    };
    for (const char* piece : {"{}", "[]", "1", "{\"a\":{}}", "\"\""}) {
        lines.push_back(chat + R"(,"metadata":)" + repeated(piece, kMany) + "}");
        lines.push_back(R"({"messages":)" + repeated(piece, kMany) + "}");
        lines.push_back(chat + R"(,"tools":)" + repeated(piece, kMany) + "}");
        lines.push_back(chat + R"(,"stop":)" + repeated(piece, kMany) + "}");
        lines.push_back(R"({"body":)" + repeated(piece, kMany) + "}");
        lines.push_back(R"({"prompt":)" + repeated(piece, kMany) + "}");
    }
    for (const std::string& line : lines) {
        const auto read = [&] {
            try {
                read_request_body(read_request_line(parse_json(std::string_view(line), "the line")).body, "");
            } catch (const std::exception&) {
            }
        };
        EXPECT_LT(peak_of(read), 2 * int64_t(line.size()) + kConstant) << line.substr(0, 80);
    }
}

TEST_F(ReadingCosts, AFileOfOneLineTakesAtMostFourTimesTheLine) {
    const TempFolder folder;
    const TextCodec codec(byte_tokenizer());
    Config config;
    config.vocab_size = 300;
    config.max_context = 1000;
    RequestOptions options;
    options.input = folder.path("requests");
    const std::string user = R"({"role":"user","content":")";
    const std::vector<std::string> lines = {
        R"({"prompt":)" + repeated("1", 20 * kMany) + "}",
        R"({"prompt":")" + std::string(40 * kMany, 'x') + "\"}",
        R"({"messages":[)" + user + std::string(40 * kMany, 'x') + "\"}]}",
        R"({"messages":[)" + user + R"(x"}],"metadata":)" + repeated("{}", 13 * kMany) + "}",
        R"({"messages":)" + repeated(user + "x\"}", kMany) + "}",
        R"({"prompt":)" + std::string(40 * kMany, '['),
    };
    for (const std::string& line : lines) {
        folder.write("requests", line);
        const auto read = [&] {
            RequestReader reader(options, config, codec, Purpose::kAnswer);
            EXPECT_TRUE(reader.next());
            EXPECT_FALSE(reader.next());
        };
        EXPECT_LT(peak_of(read), 4 * int64_t(line.size())) << line.substr(0, 80);
    }
}

// A name, a shape and two offsets a tensor are kept, so memory grows with the header; so must time, and not with its
// square (39 s for this one).
TEST_F(ReadingCosts, AHeaderOfManyTensors) {
    std::string header = "{\"__metadata__\":{}";
    constexpr int kTensors = 32000;
    for (int i = 0; i < kTensors; i++)
        header += fmt::format(R"(,"model.layers.{}.weight":{{"dtype":"U8","shape":[1],"data_offsets":[{},{}]}})", i, i,
                              i + 1);
    header += "}";
    const uint64_t length = header.size();
    std::string file(sizeof length, '\0');
    std::memcpy(file.data(), &length, sizeof length);
    file += header + std::string(kTensors, '\0');
    const auto read = [&] { EXPECT_EQ(parse_safetensors(file, "f").tensors.size(), size_t(kTensors)); };
    EXPECT_LT(peak_of(read), 4 * int64_t(header.size()));
}

}  // namespace
