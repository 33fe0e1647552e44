// subprocess.h: runs a program to its end and keeps what it wrote, for tests of the command line.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

struct ProgramResult {
    int code;  // exit code; -N if signal N ended it
    std::string out, err;
};

// In a child process: signals end it even if the tests' caller ignores them (as a shell does for background jobs).
inline void let_signals_end_this_process() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);
}

// Beside the tests: the program, the tools. Tests run in the project's folder.
inline std::string built(const std::string& name) {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

// Runs args[0], looked up in $PATH if it has no slash, with `input` as its standard input; none of the three streams is
// a terminal. SIGALRM ends it after two minutes. The streams are unnamed files: no pipe can fill up and block.
inline ProgramResult run_program(const std::vector<std::string>& args, const std::string& input = "") {
    std::FILE* const files[3] = {std::tmpfile(), std::tmpfile(), std::tmpfile()};
    for (std::FILE* f : files)
        if (!f) throw std::runtime_error("cannot make a temporary file");
    std::fwrite(input.data(), 1, input.size(), files[0]);
    std::rewind(files[0]);

    std::vector<char*> argv;
    for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
    argv.push_back(nullptr);
    const pid_t pid = fork();
    if (pid < 0) throw std::runtime_error("cannot fork");
    if (pid == 0) {
        for (int fd = 0; fd < 3; fd++) dup2(fileno(files[fd]), fd);
        alarm(120);
        execvp(argv[0], argv.data());
        _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);

    const auto read_all = [](std::FILE* f) {
        std::string text;
        char buffer[4096];
        std::rewind(f);
        for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, f)) > 0;) text.append(buffer, n);
        return text;
    };
    ProgramResult result{WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_all(files[1]),
                         read_all(files[2])};
    for (std::FILE* f : files) std::fclose(f);
    return result;
}
