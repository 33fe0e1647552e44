// test_readme.cpp: what README.md shows is what happens. A line `    $ command` is run by bash in a folder with the
// program and the demo model; lines indented below it, up to a blank one or the next command, are its stdout.
// `cat FILE` is where FILE comes from. A command that ends in & is a server, which then has a free port for its 8000.
#include <gtest/gtest.h>

#include "subprocess.h"
#include "temp_folder.h"

namespace {

struct Command {
    std::string line, output;
};

std::vector<Command> commands_in(const std::string& path) {
    const std::string indent = "    ", prompt = "    $ ";
    std::vector<Command> commands;
    bool in_output = false;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (line.compare(0, prompt.size(), prompt) == 0) {
            commands.push_back({line.substr(prompt.size()), ""});
            in_output = true;
        } else if (in_output && line.compare(0, indent.size(), indent) == 0) {
            commands.back().output += line.substr(indent.size()) + "\n";
        } else {
            in_output = false;
        }
    }
    return commands;
}

// The server that README starts, on a free port and in this folder; it ends with this object.
class Server {
  public:
    void start(std::string command, const std::string& folder) {
        command.replace(command.rfind('&'), 1, "--port 0 &> server.log & server=$!");
        const ProgramResult r = run_program({"bash", "-c", "cd " + folder + "; " + command + R"(
            until curl -sf "$(grep -o -m 1 'http://[0-9.:]*' server.log)/health" > health; do
                kill -0 $server || exit 1
                sleep 0.1
            done
            grep -o -m 1 '127[0-9.:]*' server.log
            echo $server)"});
        EXPECT_EQ(r.code, 0) << r.err;
        std::istringstream(r.out) >> address_ >> pid_;
    }
    ~Server() {
        if (pid_) kill(pid_, SIGTERM);
    }
    // The command with the server's address in place of README's.
    std::string asked(std::string command) const {
        const std::string shown = "localhost:8000";
        const size_t at = command.find(shown);
        if (at != command.npos) command.replace(at, shown.size(), address_);
        return command;
    }

  private:
    std::string address_;
    pid_t pid_ = 0;
};

TEST(Readme, CommandsPrintWhatItShows) {
    const TempFolder folder;
    std::filesystem::copy_file(built("run"), folder.path("run"));
    std::filesystem::create_symlink(std::filesystem::absolute("demo"), folder.path("demo"));
    Server server;
    int n_run = 0;
    for (const Command& command : commands_in("README.md")) {
        SCOPED_TRACE(command.line);
        if (command.line.compare(0, 4, "cat ") == 0) {
            folder.write(command.line.substr(4), command.output);
            continue;
        }
        n_run++;
        if (command.line.back() == '&') {
            server.start(command.line, folder.path());
            continue;
        }
        const std::string line = "set -e; cd " + folder.path() + "; " + server.asked(command.line);
        const ProgramResult r = run_program({"bash", "-c", line});
        EXPECT_EQ(r.code, 0) << r.err;
        EXPECT_EQ(r.out, command.output);
    }
    EXPECT_GE(n_run, 8);
}

}  // namespace
