// run.cpp: the program. Read the flags, find and open the model, start the mode.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include "batch.h"
#include "checkpoint.h"
#include "error.h"
#include "log.h"
#include "options.h"
#include "process.h"

namespace {

// The file of this name beside the program, or above it when that is in a folder of the build; "" if there is none.
std::string find_beside_program(const std::string& name) {
    char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    std::string directory(path, n > 0 ? size_t(n) : 0);
    for (int up = 0; up < 3; up++) {
        directory.resize(directory.rfind('/') == std::string::npos ? 0 : directory.rfind('/'));
        const std::string found = directory + "/" + name;
        if (access(found.c_str(), R_OK) == 0) return found;
    }
    return "";
}

std::string demo_model() {
    if (!find_beside_program("demo/config.json").empty()) return find_beside_program("demo");
    fail(
        "MODEL: expected a checkpoint, as an argument or in $GETP_MODEL; and the demo model is not beside "
        "the program");
}

std::string find_model(const Options& options) {
    if (!options.model.empty()) return options.model;
    const char* from_environment = std::getenv("GETP_MODEL");
    return from_environment && *from_environment ? from_environment : demo_model();
}

// Whether the first word is a command of run.sh and not a model: `./run demo` runs the demonstration, `./run demo -i
// Hello` asks the model in demo/.
bool is_for_run_sh(int argc, char** argv) {
    const std::string word = argc > 1 ? argv[1] : "";
    if (word == "demo") return argc == 2;
    return (word == "build" || word == "test" || word == "bench" || word == "fuzz") &&
           access((word + "/config.json").c_str(), F_OK) != 0;
}

// Becomes run.sh, with the same arguments.
[[noreturn]] void become_run_sh(char** argv) {
    const std::string script = find_beside_program("run.sh");
    if (script.empty()) fail("{}: expected run.sh, whose command this is, beside the program; found none", argv[1]);
    std::signal(SIGPIPE, SIG_DFL);
    argv[0] = const_cast<char*>(script.c_str());
    execv(script.c_str(), argv);
    fail("{}: cannot start: {}", script, std::strerror(errno));
}

int run(int argc, char** argv) {
    if (is_for_run_sh(argc, argv)) become_run_sh(argv);
    if (argc > 1 && std::string_view(argv[1]) == "run") argc--, argv++;  // run.sh's spelling
    if (argc > 1 && std::string_view(argv[1]) == "export") return export_command(argc - 1, argv + 1);
    if (argc > 1 && std::string_view(argv[1]) == "verify") return verify_command(argc - 1, argv + 1);
    if (argc > 1 && std::string_view(argv[1]) == "merge") return merge_command(argc - 1, argv + 1);
    Options options = parse_command_line(argc, argv);
    options.model = find_model(options);
    Model model = open_model(options.model, options.open);
    if (model.is_gpt2()) adapt_to_gpt2(options, model);
    if (options.mode == "serve") return serve(options, model);
    prepare_model(options, model);
    if (options.mode == "chat") return chat(options, model);
    if (options.mode == "getp") return getp(options, model);
    if (options.mode == "score") return score(options, model);
    return generate(options, model);
}

// Returns the exit code. Says in one line what has failed.
int run_and_report(int argc, char** argv) {
    try {
        prepare_process(argv);
        return run(argc, argv);
    } catch (const std::bad_alloc&) {
        log_counts();
        log_line("run: out of memory");
        return kExitUsage;
    } catch (const std::exception& e) {  // Error: a line for the user; anything else: a bug
        log_counts();
        log_line("run: {}", e.what());
        return kExitUsage;
    }
}

}  // namespace

int main(int argc, char** argv) {
    prepare_streams();
    const int code = run_and_report(argc, argv);
    if (!thread_left_behind()) return code;
    std::fflush(nullptr);
    std::_Exit(code);
}
