// test_model_checksum.cpp: what makes two models different for a job that goes on, even if too large to read whole.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "checkpoint.h"
#include "gpt2_model.h"
#include "tiny_model.h"

namespace fs = std::filesystem;

namespace {

// One byte of a file, changed to what it was not.
void change_byte(const std::string& path, int64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const char old = char(file.get());
    file.seekp(offset);
    file.put(char(old ^ 1));
}
std::string checksum_of(const std::string& path) {
    return model_checksum(open_model(path));
}

// 496 MB that take no place on the disk: llm.c's file of a GPT-2 124M with half its context, all of whose weights are
// 0. The table of positions has 1.5 MB, as the largest biases and routers of gpt-oss-120b.
class LargeModel : public testing::Test {
  protected:
    static constexpr int64_t kHeaderBytes = 1024, kDim = 768, kVocab = 50257, kContext = 512, kPadded = 50304;

    LargeModel() {
        const Gpt2Spec small{1, 12, int(kDim), 641, int(kContext)};
        write_llmc_gpt2(folder.path(), small, DType::kF32);
        std::string header = folder.read("model.bin").substr(0, kHeaderBytes);
        auto* const fields = reinterpret_cast<int32_t*>(header.data());
        fields[3] = int32_t(kVocab);
        fields[4] = 12;
        fields[7] = int32_t(kPadded);
        folder.write("model.bin", header);
        constexpr int64_t kLayer = 12 * kDim * kDim + 13 * kDim;
        const int64_t n = (kPadded + kContext) * kDim + 12 * kLayer + 2 * kDim;
        fs::resize_file(path, uintmax_t(kHeaderBytes + 4 * n));
        n_bytes = kHeaderBytes + 4 * n;
    }
    TempFolder folder;
    const std::string path = folder.path("model.bin");
    int64_t n_bytes = 0;
};

TEST_F(LargeModel, ItsSmallTensorsCountWhole) {
    const std::string before = checksum_of(path);
    EXPECT_EQ(before, checksum_of(path));
    const int64_t positions = kHeaderBytes + 4 * kPadded * kDim;
    const int64_t norms = kHeaderBytes + 4 * (kPadded + kContext) * kDim;  // the first of all layers
    std::set<std::string> seen = {before};
    for (const int64_t offset : {positions + 1000000, norms, norms + 4 * kDim - 1, norms + 5000, n_bytes - 1}) {
        change_byte(path, offset);
        EXPECT_TRUE(seen.insert(checksum_of(path)).second) << offset;
    }
}

TEST_F(LargeModel, AStretchOfALargeTensorCounts) {
    const std::string before = checksum_of(path);
    constexpr int64_t kStretch = int64_t(2) << 20;
    for (const int64_t begin : {kHeaderBytes + 12345, kHeaderBytes + int64_t(100'000'000)}) {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(begin);
        file << std::string(size_t(kStretch), '\1');
        file.close();
        EXPECT_NE(checksum_of(path), before) << begin;
        file.open(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(begin);
        file << std::string(size_t(kStretch), '\0');
        file.close();
        EXPECT_EQ(checksum_of(path), before) << begin;
    }
}

TEST(ModelChecksum, EveryByteOfASmallModelCounts) {
    const Gpt2Model made("gpt2-tiny", DType::kF32);
    const std::string before = checksum_of(made.path());
    change_byte(made.path(), int64_t(fs::file_size(made.path())) / 2);
    EXPECT_NE(checksum_of(made.path()), before);
}

// A container's header has the checksum of every tensor.
TEST(ModelChecksum, ContainersOfOtherWeightsDiffer) {
    const TempFolder folder;
    const TinyModel tiny("mxfp4");
    const auto container = [&](const std::string& name) {
        const std::string path = folder.path(name);
        export_model(open_model(tiny.path()), path, {});
        return checksum_of(path);
    };
    const std::string before = container("a.bin");
    EXPECT_EQ(container("b.bin"), before);
    for (const auto& file : fs::directory_iterator(tiny.path()))
        if (file.path().extension() == ".safetensors") change_byte(file.path(), int64_t(file.file_size()) - 1);
    EXPECT_NE(container("c.bin"), before);
}

// What no tensor's shape tells.
TEST(ModelChecksum, SoDoConfigs) {
    const TinyModel tiny("mxfp4");
    std::set<std::string> seen = {model_checksum(tiny.model())};
    const auto differs = [&](const auto& change) {
        Model other = tiny.model();
        change(other.gpt_oss().config);
        return seen.insert(model_checksum(other)).second;
    };
    EXPECT_TRUE(differs([](Config& c) { c.experts_per_token--; }));
    EXPECT_TRUE(differs([](Config& c) { c.sliding_window++; }));
    EXPECT_TRUE(differs([](Config& c) { c.layer_kind[0] = LayerKind::kFull; }));
    EXPECT_TRUE(differs([](Config& c) { c.stop_ids.push_back(1); }));
    EXPECT_TRUE(differs([](Config& c) { c.swiglu_limit++; }));
    EXPECT_TRUE(differs([](Config& c) { c.rope_beta_fast++; }));
    EXPECT_TRUE(differs([](Config& c) { c.norm_eps *= 2; }));
    EXPECT_FALSE(differs([](Config& c) { c.sampling.temperature = 0.5f; })) << "no answer of getp depends on it";
}

}  // namespace
