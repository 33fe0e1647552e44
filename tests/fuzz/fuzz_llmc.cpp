// fuzz_llmc.cpp: any bytes as llm.c's model file, or HipGPT's; the last element of every tensor is read.
#include <cstdint>

#include "error.h"
#include "fuzz_file.h"
#include "model/gpt2.h"
#include "model/readers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const FuzzFile file;
    try {
        file.write(data, size);
        refuse_hipgpt(file.path());
        if (!is_llmc(file.path())) return 0;
        Model model = open_llmc(file.path());
        float sum = 0;
        for (const LlmcPart& part : llmc_parts(model.gpt2().weights, model.common().vocab_size)) {
            if (part.vector) sum += (*part.vector)[part.vector->n - 1];
            if (part.matrix) sum += part.matrix->at(part.matrix->n_out - 1, part.matrix->n_in - 1);
        }
        volatile float kept = sum;
        static_cast<void>(kept);
    } catch (const Error&) {
    }
    return 0;
}
