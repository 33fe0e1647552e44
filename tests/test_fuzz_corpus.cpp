// test_fuzz_corpus.cpp: gives every input kept in tests/fuzz/corpus to its fuzz target, without a fuzzer: inputs that
// once failed must never fail again. The build gives each target's entry point the name of its file.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

namespace fs = std::filesystem;

extern "C" {
int fuzz_config(const uint8_t* data, size_t size);
int fuzz_harmony(const uint8_t* data, size_t size);
int fuzz_http(const uint8_t* data, size_t size);
int fuzz_index(const uint8_t* data, size_t size);
int fuzz_journal(const uint8_t* data, size_t size);
int fuzz_legacy(const uint8_t* data, size_t size);
int fuzz_llmc(const uint8_t* data, size_t size);
int fuzz_request_files(const uint8_t* data, size_t size);
int fuzz_requests(const uint8_t* data, size_t size);
int fuzz_safetensors(const uint8_t* data, size_t size);
int fuzz_tokenizer(const uint8_t* data, size_t size);
int fuzz_vocab_and_merges(const uint8_t* data, size_t size);
}

namespace {

struct Target {
    const char* name;
    int (*run)(const uint8_t* data, size_t size);
};

const Target kTargets[] = {
    {"config", fuzz_config},
    {"harmony", fuzz_harmony},
    {"http", fuzz_http},
    {"index", fuzz_index},
    {"journal", fuzz_journal},
    {"legacy", fuzz_legacy},
    {"request_files", fuzz_request_files},
    {"requests", fuzz_requests},
    {"safetensors", fuzz_safetensors},
    {"tokenizer", fuzz_tokenizer},
    {"llmc", fuzz_llmc},
    {"vocab_and_merges", fuzz_vocab_and_merges},
};

class FuzzCorpus : public testing::TestWithParam<Target> {};

TEST_P(FuzzCorpus, EveryInputIsReadOrRefused) {
    std::vector<fs::path> inputs;
    for (const auto& entry : fs::directory_iterator(fs::path("tests/fuzz/corpus") / GetParam().name))
        inputs.push_back(entry.path());
    std::sort(inputs.begin(), inputs.end());
    EXPECT_FALSE(inputs.empty());
    for (const fs::path& path : inputs) {
        std::ifstream file(path, std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
        ASSERT_TRUE(file) << path;
        const std::string message = "while replaying " + path.string();
        SCOPED_TRACE(message);
        std::printf("%s\n", path.c_str());  // if it crashes, the last line names the input
        std::fflush(stdout);
        // An exact-size allocation, so that the address sanitizer sees a read of one byte too many.
        const std::vector<uint8_t> data(bytes.begin(), bytes.end());
        EXPECT_EQ(GetParam().run(data.data(), data.size()), 0);
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzCorpus, testing::ValuesIn(kTargets),
                         [](const auto& target) { return std::string(target.param.name); });

TEST(FuzzTargets, TheTableAboveListsThemAll) {
    std::set<std::string> listed, in_folder;
    for (const Target& target : kTargets) listed.insert(std::string("fuzz_") + target.name + ".cpp");
    for (const auto& entry : fs::directory_iterator("tests/fuzz"))
        if (entry.path().extension() == ".cpp") in_folder.insert(entry.path().filename());
    EXPECT_EQ(listed, in_folder);
}

}  // namespace
