// test_verify_model.cpp: damage of every kind, in every kind of checkpoint, is found and named.
#include <gtest/gtest.h>

#include <map>

#include "base/file.h"
#include "export_checks.h"
#include "subprocess.h"
#include "support/byte_tokenizer.h"
#include "support/f16_twin.h"
#include "support/json.h"
#include "support/safetensors_parts.h"

namespace {

std::string verify_error(const std::string& path) {
    return error_of([&] { verify_model(open_model(path), {}); });
}

class Verify : public testing::Test {
  protected:
    static void SetUpTestSuite() { tiny = new TinyModel("mxfp4", {"num_hidden_layers=2"}); }
    static void TearDownTestSuite() {
        delete tiny;
        tiny = nullptr;
    }
    std::string exported(ExportKind kind) {
        const std::string path = folder.path("model");
        export_model(tiny->model(), path, to(kind));
        return path;
    }

    TempFolder folder;
    static TinyModel* tiny;
};

TinyModel* Verify::tiny = nullptr;

// Writes `bits`, of 1, 2 or 4 bytes, over element `index` of a tensor.
void overwrite(const std::string& file, const std::string& tensor, size_t index, uint32_t bits, size_t size) {
    SafetensorsParts parts(file);
    const size_t begin = size_t(parts.header[tensor]["data_offsets"][0]) + index * size;
    std::memcpy(parts.data.data() + begin, &bits, size);
    parts.write(file);
}

TEST_F(Verify, WholeModelsPass) {
    for (const ExportKind kind : {ExportKind::kHuggingFace, ExportKind::kDequantised, ExportKind::kOriginal,
                                  ExportKind::kContainer, ExportKind::kLegacyF32, ExportKind::kLegacyBF16}) {
        const std::string path = exported(kind);
        int64_t last = 0, whole = -1;
        verify_model(open_model(path), [&](int64_t done, int64_t total) {
            EXPECT_GT(done, last);
            last = done;
            whole = total;
        });
        EXPECT_EQ(last, whole) << int(kind);
        EXPECT_EQ(whole, open_model(path).weight_bytes) << "all of it is looked at: " << int(kind);
        std::filesystem::remove_all(path);
    }
}

TEST_F(Verify, NumbersThatAreNoneAreNamedWithTheirPlace) {
    const struct {
        const char *what, *tensor;
        size_t index;
        uint32_t bits;
        size_t size;
        const char* place;
    } cases[] = {
        {"NaN, the first number", "model.embed_tokens.weight", 0, 0x7fc0, 2, "[0, 0]"},
        {"infinity, the last number", "model.norm.weight", 127, 0x7f80, 2, "[127]"},
        {"minus infinity", "lm_head.weight", 129, 0xff80, 2, "[1, 1]"},
        {"a NaN with another payload", "model.layers.1.self_attn.sinks", 1, 0x7f81, 2, "[1]"},
        {"a scale of 255", "model.layers.1.mlp.experts.down_proj_scales", 0, 0xff, 1, "[0, 0, 0]"},
    };
    for (const auto& c : cases) {
        const std::string path = exported(ExportKind::kHuggingFace);
        overwrite(path + "/model.safetensors", c.tensor, c.index, c.bits, c.size);
        const std::string error = verify_error(path);
        EXPECT_TRUE(has(error, {c.tensor, "finite", c.place})) << c.what << ": " << error;
        std::filesystem::remove_all(path);
    }
}

TEST_F(Verify, NumbersBesideTheLimitPass) {
    const std::string path = exported(ExportKind::kHuggingFace);
    overwrite(path + "/model.safetensors", "model.norm.weight", 0, 0x7f7f, 2);  // the largest
    overwrite(path + "/model.safetensors", "model.norm.weight", 1, 0xff7f, 2);
    overwrite(path + "/model.safetensors", "model.norm.weight", 2, 0x0001, 2);  // the smallest
    overwrite(path + "/model.safetensors", "model.layers.0.mlp.experts.down_proj_scales", 0, 0xfe, 1);
    EXPECT_EQ(verify_error(path), "");
}

TEST_F(Verify, F16) {
    const std::string path = exported(ExportKind::kHuggingFace), file = path + "/model.safetensors";
    rewrite_dense(path, "F16");
    EXPECT_EQ(verify_error(path), "");
    const char* tensor = "model.norm.weight";
    overwrite(file, tensor, 3, 0x7bff, 2);  // the largest number
    EXPECT_EQ(verify_error(path), "");
    for (const uint32_t bits : {0x7c00, 0xfc00, 0x7c01, 0xffff}) {
        overwrite(file, tensor, 3, bits, 2);
        const std::string error = verify_error(path);
        EXPECT_TRUE(has(error, {tensor, "finite", "[3]"})) << std::hex << bits << ": " << error;
    }
}

TEST_F(Verify, LegacyFilesToo) {
    for (const ExportKind kind : {ExportKind::kLegacyF32, ExportKind::kLegacyBF16}) {
        const std::string path = exported(kind);
        std::string bytes = read_file(path);
        const size_t size = kind == ExportKind::kLegacyF32 ? 4 : 2;
        const uint32_t nan = kind == ExportKind::kLegacyF32 ? 0x7fc00000 : 0x7fc0;
        std::memcpy(bytes.data() + bytes.size() - size, &nan, size);
        write_bytes(path, bytes);
        EXPECT_TRUE(has(verify_error(path), {"mlp2 bias", "finite"})) << verify_error(path);
        std::filesystem::remove(path);
    }
}

TEST_F(Verify, OneFlippedBitInAContainerIsFound) {
    const std::string path = exported(ExportKind::kContainer);
    const SafetensorsParts whole(path);
    for (const char* tensor : {"model.embed_tokens.weight", "model.layers.1.mlp.experts.gate_up_proj_blocks",
                               "model.layers.0.self_attn.q_proj.bias"}) {
        SafetensorsParts damaged = whole;
        damaged.data[size_t(damaged.header[tensor]["data_offsets"][0])] ^= 1;
        damaged.write(path);
        EXPECT_TRUE(has(verify_error(path), {tensor, "checksum"})) << verify_error(path);
    }
}

TEST_F(Verify, AsACommandAndAsAFlag) {
    const std::string path = exported(ExportKind::kContainer);
    const auto run = [&](std::vector<std::string> args) {
        args.insert(args.begin(), built("run"));
        return run_program(args);
    };
    const std::vector<std::string> generate = {path,
                                               "--verify-model",
                                               "--raw",
                                               "-n",
                                               "8",
                                               "-i",
                                               "x",
                                               "-z",
                                               folder.write("tokenizer.json", byte_tokenizer_json())};
    EXPECT_EQ(run({"verify", path}).code, 0);
    EXPECT_NE(run({"verify", path}).err.find("no damage found"), std::string::npos);
    EXPECT_EQ(run(generate).code, 0) << run(generate).err;
    SafetensorsParts damaged(path);
    damaged.data.back() ^= 1;
    damaged.write(path);
    for (const std::vector<std::string>& args : {std::vector<std::string>{"verify", path}, generate}) {
        const ProgramResult r = run(args);
        EXPECT_EQ(r.code, 2);
        EXPECT_EQ(r.out, "");
        EXPECT_NE(r.err.find("lm_head.weight: checksum"), std::string::npos) << r.err;
    }
    EXPECT_EQ(run({"verify"}).code, 2);
    EXPECT_EQ(run({"verify", folder.path("nowhere")}).code, 2);
}

}  // namespace
