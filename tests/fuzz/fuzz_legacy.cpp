// fuzz_legacy.cpp: any bytes as a legacy .bin; the last element of every tensor is read.
#include <cstdint>

#include "checkpoint.h"
#include "error.h"
#include "fuzz_file.h"
#include "model/legacy.h"
#include "model/readers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const FuzzFile file;
    try {
        file.write(data, size);
        Model model = open_legacy(file.path(), {});
        float sum = 0;
        for (const LegacyPart& part : legacy_parts(model.gpt_oss().weights)) {
            if (part.vector) sum += (*part.vector)[part.vector->n - 1];
            if (part.matrix) sum += part.matrix->at(part.matrix->n_out - 1, part.matrix->n_in - 1);
            if (part.experts) {
                const Matrix last = (*part.experts)[part.experts->n_experts - 1];
                sum += last.at(last.n_out - 1, last.n_in - 1);
            }
        }
        volatile float kept = sum;
        static_cast<void>(kept);
    } catch (const Error&) {
    }
    return 0;
}
