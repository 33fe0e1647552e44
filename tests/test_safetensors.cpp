// test_safetensors.cpp: the header of a safetensors file: what is read from a sound one, and every way to be damaged.
#include <gtest/gtest.h>

#include "model/safetensors.h"
#include "support/checkpoint_checks.h"
#include "support/json.h"
#include "support/safetensors_parts.h"

namespace {

std::string file_of(const std::string& header, size_t data_bytes) {
    return SafetensorsParts::join(header, std::string(data_bytes, '\7'));
}

std::string parse_error(const std::string& file) {
    return error_of([&] { parse_safetensors(file, "dir/f.safetensors"); });
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
    const std::string header = R"({"__metadata__":{"format":"pt"},)"
                               R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
                               R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                               R"("none":{"dtype":"U8","shape":[0,7],"data_offsets":[16,16]}}  )";
    const std::string file = file_of(header, 16);
    const SafetensorsHeader parsed = parse_safetensors(file, "f");
    const int64_t start = 8 + int64_t(header.size());
    ASSERT_EQ(parsed.tensors.size(), 3u);
    EXPECT_EQ(parsed.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
    const TensorInfo& b = parsed.tensors.at("b");
    EXPECT_EQ(b.dtype, "BF16");
    EXPECT_EQ(b.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(b.begin, start + 4);
    EXPECT_EQ(b.end, start + 16);
    EXPECT_EQ(parsed.tensors.at("a").end, start + 4);
    EXPECT_EQ(parsed.tensors.at("none").begin, start + 16);
}

TEST(Safetensors, AHoleBetweenTensorsIsNoError) {
    EXPECT_EQ(parse_error(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                  R"("b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}})",
                                  4)),
              "");
}

struct Damage {
    const char* why;
    std::string header;
    size_t data_bytes;
    std::vector<std::string> words;  // that the error must have
};

const Damage kDamages[] = {
    {"not JSON", "this is no JSON", 0, {"header", "expected JSON"}},
    {"JSON cut off", R"({"a":{"dtype":"U8")", 0, {"header", "expected JSON"}},
    {"an array", "[1]", 0, {"header", "object"}},
    {"a second value", R"({} {})", 0, {"header", "expected JSON"}},
    {"not UTF-8", "{\"\xff\":{}}", 0, {"header", "expected JSON"}},
    {"nothing", "", 0, {"header", "expected JSON"}},
    {"a tensor that is a number", R"({"a":1})", 0, {"a: ", "object", "1"}},
    {"metadata that is a list", R"({"__metadata__":[]})", 0, {"__metadata__", "object"}},
    {"metadata that is not text", R"({"__metadata__":{"k":5}})", 0, {"__metadata__", "k", "string", "5"}},
    {"no dtype", R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, {"a: dtype"}},
    {"unknown dtype", R"({"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,1]}})", 1, {"a: dtype", "Q9"}},
    {"dtype that is a number", R"({"a":{"dtype":3,"shape":[1],"data_offsets":[0,1]}})", 1, {"a: dtype"}},
    {"no shape", R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, {"a: shape"}},
    {"negative size", R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, {"a: shape", "-1"}},
    {"fractional size", R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}})", 1, {"a: shape", "1.5"}},
    {"size of text", R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, {"a: shape"}},
    {"size above 2^63", R"({"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}})", 1, {"a: shape"}},
    {"size above 2^64", R"({"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1]}})", 1, {"a: shape"}},
    {"number above any double", R"({"a":1e999})", 0, {"header", "range"}},
    {"product above 2^63",
     R"({"a":{"dtype":"BF16","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
     0,
     {"a: shape", "2^63"}},
    {"product that wraps to the right number",
     R"({"a":{"dtype":"BF16","shape":[9223372036854775807,2],"data_offsets":[0,1]}})",
     1,
     {"a: shape", "2^63"}},
    {"no offsets", R"({"a":{"dtype":"U8","shape":[1]}})", 1, {"a: data_offsets"}},
    {"one offset", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, {"a: data_offsets", "[0]"}},
    {"offsets backwards", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, {"a: data_offsets", "[1, 0]"}},
    {"offsets past the end", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 1, {"a: data_offsets", "2"}},
    {"offsets far past the end",
     R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]}})",
     1,
     {"a: data_offsets"}},
    {"fewer bytes than the shape",
     R"({"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,4]}})",
     4,
     {"a: data_offsets", "6 bytes", "found 4"}},
    {"overlap",
     R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
     4,
     {"b: ", "overlap with a"}},
    {"twice the same bytes",
     R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
     2,
     {"overlap"}},
    {"bytes after the last tensor", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2, {"bytes", "found"}},
    {"bytes without a tensor", R"({})", 1, {"bytes", "found"}},
    {"a tensor twice",
     R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
     1,
     {"f.safetensors: a:", "twice"}},
    {"a field twice",
     R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})",
     1,
     {"\"shape\"", "twice"}},
    {"nested too deep", R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, {"header", "nested"}},
};

TEST(Safetensors, EveryDamageIsAnErrorThatNamesIt) {
    for (const Damage& damage : kDamages) {
        SCOPED_TRACE(damage.why);
        const std::string error = parse_error(file_of(damage.header, damage.data_bytes));
        EXPECT_TRUE(has(error, {"dir/f.safetensors"}));
        EXPECT_TRUE(has(error, damage.words));
    }
}

TEST(Safetensors, HeaderLengthIsCheckedBeforeItIsUsed) {
    for (const size_t n_bytes : {0, 1, 7}) EXPECT_TRUE(has(parse_error(std::string(n_bytes, '\1')), {"safetensors"}));
    for (const uint64_t length : {uint64_t(3), uint64_t(100'000'001), uint64_t(1) << 40, UINT64_MAX, UINT64_MAX - 7}) {
        std::string file(10, ' ');
        std::memcpy(file.data(), &length, sizeof length);
        EXPECT_TRUE(has(parse_error(file), {"header length", std::to_string(length)}));
    }
}

TEST(Safetensors, TheFormatsLimitOnTheHeaderHolds) {
    std::string file(8 + 100'000'001, ' ');
    const uint64_t length = 100'000'001;
    std::memcpy(file.data(), &length, sizeof length);
    EXPECT_TRUE(has(parse_error(file), {"header length", "100000000", "100000001"}));
}

TEST(Safetensors, NestingBombsAreRefused) {
    for (const char* open : {"[", "{\"a\":"}) {
        std::string bomb;
        for (int i = 0; i < 100'000; i++) bomb += open;
        EXPECT_TRUE(has(parse_error(file_of(bomb, 0)), {"header", "nested"}));
    }
}

TEST(Safetensors, LongKeysAndValuesAreCutInErrors) {
    const std::string header =
        R"({"a":{"dtype":")" + std::string(1'000'000, 'x') + R"(","shape":[1],"data_offsets":[0,1]}})";
    EXPECT_LT(parse_error(file_of(header, 1)).size(), 300u);
}

TEST(Safetensors, HeaderWrittenIsHeaderRead) {
    const std::vector<NamedTensorInfo> tensors = {{"z", "F32", {2, 2}}, {"a", "U8", {5}}, {"m", "BF16", {}}};
    for (const int64_t alignment : {8, 64}) {
        const std::string head = safetensors_header(tensors, {{"k", "v \"quoted\" \n"}}, alignment);
        EXPECT_EQ(int64_t(head.size()) % alignment, 0);
        const std::string file = head + std::string(16 + 5 + 2, '\0');
        const SafetensorsHeader header = parse_safetensors(file, "f");
        EXPECT_EQ(header.metadata.at("k"), "v \"quoted\" \n");
        EXPECT_EQ(header.tensors.at("z").begin, int64_t(head.size()));
        EXPECT_EQ(header.tensors.at("a").begin, int64_t(head.size()) + 16);
        EXPECT_EQ(header.tensors.at("m").end, int64_t(file.size()));
    }
}

}  // namespace
