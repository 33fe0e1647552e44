// merge_command.cpp: `run merge`: one output out of what several processes have written, if none of them did it.
#include <CLI/CLI.hpp>

#include "app/flags.h"
#include "batch.h"
#include "error.h"
#include "log.h"

int merge_command(int argc, char** argv) {
    CLI::App app(
        "Puts together the answers that several processes of run -m getp have written, if the last of them did not.",
        "run merge");
    std::string output;
    app.add_option("OUT", output, "What they were given as --output")->required()->type_name("PATH");
    parse_flags(app, {argv + 1, argv + argc});
    const MergedJob job = merge_batch_job(output);
    if (job.missing.empty()) return job.n_failed > 0 ? kExitRequestFailed : kExitOk;
    log_line("run: {}", job.missing);
    return kExitPartial;
}
