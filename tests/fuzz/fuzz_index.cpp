// fuzz_index.cpp: any bytes as model.safetensors.index.json, beside shards of which two are good.
#include <cstdint>
#include <filesystem>

#include "error.h"
#include "fuzz_file.h"
#include "model/safetensors.h"
#include "model/tensor_files.h"
#include "temp_folder.h"

namespace {

std::string shard(const std::string& tensor) {
    return safetensors_header({{tensor, "U8", {4}}}, {}, 8) + "data";
}

class Snapshot {
  public:
    Snapshot() {
        folder_.write("a", shard("x"));
        folder_.write("b", shard("y"));
        folder_.write("c", "no safetensors file");
        std::filesystem::create_symlink(index_.path(), folder_.path("model.safetensors.index.json"));
    }
    const std::string& path() const { return folder_.path(); }
    void write_index(const uint8_t* data, size_t size) const { index_.write(data, size); }

  private:
    TempFolder folder_;
    FuzzFile index_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Snapshot snapshot;
    try {
        snapshot.write_index(data, size);
        const TensorFiles files = TensorFiles::in_directory(snapshot.path(), false);
        files.has("x");
        files.mappings();
    } catch (const Error&) {
    }
    return 0;
}
