// test_serve_examples.cpp: the systemd unit and the batch script of examples/ start a server that answers, and end it
// well when they are told to. Model, port and the program's place are this test's; all else is as it stands there.
#include <gtest/gtest.h>

#include "subprocess.h"
#include "temp_folder.h"

namespace fs = std::filesystem;

namespace {

std::string read(const std::string& path) {
    std::ifstream file(path);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

// The value of the one line "name=..." of a unit.
std::string setting(const std::string& unit, const std::string& name) {
    const size_t at = unit.find("\n" + name + "=");
    EXPECT_NE(at, unit.npos) << name;
    const size_t begin = at + name.size() + 2;
    return unit.substr(begin, unit.find('\n', begin) - begin);
}

void replace(std::string& text, const std::string& old, const std::string& by) {
    const size_t at = text.find(old);
    ASSERT_NE(at, text.npos) << old << " in " << text;
    text.replace(at, old.size(), by);
}

// Bash that runs `command` beside it, with its output in ./log; asks it something, without the key and with it, as soon
// as it is ready; sends SIGTERM; prints both statuses, and the exit code.
std::string session(const std::string& command, const std::string& key_file) {
    return "KEY_FILE=" + key_file + "; " + command + R"--( &> log &
        server=$!
        for ((i = 0; i < 600; i++)); do
            url=$(grep -o -m 1 'http://[0-9.:]*' log)
            url=${url/0.0.0.0/127.0.0.1}
            [[ $url ]] && curl -sf "$url/health" > /dev/null && break
            kill -0 $server || exit
            sleep 0.1
        done
        curl -s -o /dev/null -w '%{http_code} ' "$url/v1/models"
        curl -s -o /dev/null -w '%{http_code} ' -H "Authorization: Bearer $(cat "$KEY_FILE")" "$url/v1/models"
        kill -TERM $server
        wait $server
        echo "ended with $?")--";
}

void expect_served(const TempFolder& folder, const std::string& script) {
    const ProgramResult r = run_program({"bash", "-c", "cd " + folder.path("") + "; " + script});
    EXPECT_EQ(r.out, "401 200 ended with 0\n") << r.err << read(folder.path("log"));
}

TEST(ServeExamples, SystemdUnit) {
    const TempFolder folder;
    folder.write("keys", "open-sesame\n");
    const std::string unit = read("examples/systemd/run-serve.service");
    std::string command = setting(unit, "ExecStart");
    replace(command, "/opt/run/run", built("run"));
    replace(command, "/opt/run/gpt-oss-20b", fs::absolute("demo").string() + " --device cpu");
    replace(command, "--port 8000", "--port 0");
    EXPECT_EQ(setting(unit, "LoadCredential").substr(0, 5), "keys:");
    expect_served(folder, "export CREDENTIALS_DIRECTORY=.; " + session(command, "keys"));

    const std::string grace = command.substr(command.find("--grace ") + 8);
    EXPECT_GT(std::stoi(setting(unit, "TimeoutStopSec")), std::stoi(grace)) << "systemd would kill it while it drains";
}

TEST(ServeExamples, BatchScript) {
    const TempFolder folder;
    fs::create_symlink(fs::absolute(built("run")), folder.path("run"));
    const std::string script = fs::absolute("examples/slurm/serve.sbatch");
    const std::string command = "HOME=. PORT=0 SLURM_SUBMIT_DIR=. bash " + script + " " + fs::absolute("demo").string();
    expect_served(folder, session(command, ".run-serve-key"));
    EXPECT_EQ(fs::status(folder.path(".run-serve-key")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

}  // namespace
