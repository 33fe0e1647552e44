// fuzz_journal.cpp: any bytes as what a job that was killed has left: lines of answers, of either format.
#include <cstdint>
#include <string>

#include "base/line_reader.h"
#include "error.h"
#include "fuzz_file.h"
#include "requests.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const FuzzFile file;
    file.write(data, size);
    try {
        LineReader lines(file.path());
        for (std::string_view line; lines.next(line);)
            for (const auto& mark : {mark_of_answer_line(line), mark_of_text_record(line)})
                if (mark && mark->index < 0) __builtin_trap();
    } catch (const Error&) {
    }
    return 0;
}
