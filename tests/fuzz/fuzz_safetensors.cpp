// fuzz_safetensors.cpp: any bytes as a safetensors file, and as a container.
#include <cstdint>
#include <string>

#include "checkpoint.h"
#include "error.h"
#include "fuzz_file.h"
#include "model/readers.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const FuzzFile file;
    try {
        parse_safetensors({reinterpret_cast<const char*>(data), size}, "fuzz");
        file.write(data, size);
        const Model model = open_container(file.path());
        check_scales(model);
        verify_checksums(file.path());
    } catch (const Error&) {
    }
    return 0;
}
