// test_readme.cpp: what README.md shows is what happens. A line `    $ command` is run by bash in a folder with the
// program and the demo model; lines indented below it, up to a blank one or the next command, are its stdout.
// `cat FILE` is where FILE comes from.
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

TEST(Readme, CommandsPrintWhatItShows) {
    const TempFolder folder;
    std::filesystem::copy_file(built("run"), folder.path("run"));
    std::filesystem::create_symlink(std::filesystem::absolute("demo"), folder.path("demo"));
    int n_run = 0;
    for (const Command& command : commands_in("README.md")) {
        SCOPED_TRACE(command.line);
        if (command.line.compare(0, 4, "cat ") == 0) {
            folder.write(command.line.substr(4), command.output);
            continue;
        }
        const ProgramResult r = run_program({"bash", "-c", "set -e; cd " + folder.path("") + "; " + command.line});
        EXPECT_EQ(r.code, 0) << r.err;
        EXPECT_EQ(r.out, command.output);
        n_run++;
    }
    EXPECT_GE(n_run, 6);
}

}  // namespace
