// run.cpp: the program. Read the flags, find and open the model, start the mode.
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "checkpoint.h"
#include "error.h"
#include "log.h"
#include "options.h"

namespace {

// The demo model stands beside the program, or one above it when it runs from the build directory.
std::string demo_model() {
    char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    std::string directory(path, n > 0 ? size_t(n) : 0);
    for (int up = 0; up < 2; up++) {
        directory.resize(directory.rfind('/') == std::string::npos ? 0 : directory.rfind('/'));
        const std::string config = directory + "/demo/config.json";
        if (access(config.c_str(), R_OK) == 0) return directory + "/demo";
    }
    fail(
        "MODEL: expected a checkpoint, as an argument or in $GETP_MODEL; and the demo model is not beside "
        "the program");
}

std::string find_model(const Options& options) {
    if (!options.model.empty()) return options.model;
    const char* from_environment = std::getenv("GETP_MODEL");
    return from_environment && *from_environment ? from_environment : demo_model();
}

int run(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == "export") return export_command(argc - 1, argv + 1);
    const Options options = parse_command_line(argc, argv);
    const Model model = open_model(find_model(options), options.open);
    warm_up(options, model);
    if (options.mode == "chat") return chat(options, model);
    if (options.mode == "getp") return getp(options, model);
    if (options.mode == "score") return score(options, model);
    return generate(options, model);
}

}  // namespace

int main(int argc, char** argv) {
    prepare_streams();
    try {
        return run(argc, argv);
    } catch (const std::exception& e) {  // Error: a line for the user; anything else: out of memory, a bug
        log_counts();
        log_line("run: {}", e.what());
        return kExitUsage;
    }
}
