// job_process.h: a job of getp in a process of its own, which a test may signal or kill.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <regex>
#include <thread>

#include "small_model_test.h"
#include "subprocess.h"

class JobProcess {
  public:
    // Its stderr goes to the file `log`; `settings` are added to the environment.
    JobProcess(const std::vector<std::string>& args, const std::string& log,
               const std::vector<std::string>& settings = {}) {
        pid_ = fork();
        if (pid_ < 0) throw std::runtime_error("cannot fork");
        if (pid_ > 0) return;
        let_signals_end_this_process();
        const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        std::vector<char*> argv;
        for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
        argv.push_back(nullptr);
        for (const std::string& setting : settings) putenv(const_cast<char*>(setting.c_str()));
        alarm(120);
        execvp(argv[0], argv.data());
        _exit(127);
    }
    ~JobProcess() {
        if (pid_ <= 0) return;
        kill(pid_, SIGKILL);
        wait();
    }
    JobProcess(const JobProcess&) = delete;
    JobProcess& operator=(const JobProcess&) = delete;

    void send(int signal) const { ::kill(pid_, signal); }
    // The exit code; -N if signal N ended it.
    int wait() {
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    bool has_ended() {
        int status = 0;
        if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
        pid_ = -1;
        code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        return true;
    }
    int code() const { return code_; }  // after has_ended()

  private:
    pid_t pid_ = -1;
    int code_ = 0;
};

// Commands, requests and answers of jobs.
class JobTest : public SmallModelTest {
  protected:
    // `name`: of the output; `more`: flags.
    std::vector<std::string> command(const std::string& name, const std::vector<std::string>& more = {}) const {
        std::vector<std::string> args = {built("run"), made->path("model"), "-m", "getp", "-i", input,
                                         "-o",         folder.path(name),   "-s", "7"};
        args.insert(args.end(), more.begin(), more.end());
        return args;
    }
    ProgramResult run(const std::string& name, const std::vector<std::string>& more = {}) const {
        return run_program(command(name, more));
    }

    static std::string json_request(int i, int max_tokens) {
        return R"({"custom_id": ")" + std::to_string(i) + R"(", "prompt": [)" + std::to_string(i % 200 + 1) +
               R"(], "max_tokens": )" + std::to_string(max_tokens) + R"(, "ignore_eos": true})" + "\n";
    }
    static std::string json_requests(int n, int max_tokens) {
        std::string text;
        for (int i = 0; i < n; i++) text += json_request(i, max_tokens);
        return text;
    }
    static std::string text_requests(int n) {
        std::string text = std::to_string(n) + "\n";
        for (int i = 0; i < n; i++) text += "prompt " + std::to_string(i) + "\n";
        return text;
    }
    // Lines in an order of their own, and without the time of the job's start.
    static std::string comparable(const std::string& answers, bool is_text) {
        if (is_text) return answers;
        std::vector<std::string> lines;
        std::istringstream stream(answers);
        for (std::string line; std::getline(stream, line);) lines.push_back(line);
        std::sort(lines.begin(), lines.end());
        std::string text;
        for (const std::string& line : lines) text += line + "\n";
        return std::regex_replace(text, std::regex("\"created\":[0-9]+"), "\"created\":0");
    }
    static int64_t n_lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }
    bool exists(const std::string& name) const { return std::filesystem::exists(folder.path(name)); }
    // Waits until the file of this name has so many lines; false after a minute.
    bool has_lines(const std::string& name, int64_t n) const {
        for (int i = 0; i < 6000; i++) {
            if (n_lines(folder.read(name)) >= n) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }
    // Likewise, has this text.
    bool says(const std::string& name, const std::string& text) const {
        for (int i = 0; i < 6000; i++) {
            if (folder.read(name).find(text) != std::string::npos) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }

    std::string input = folder.path("requests");
};
