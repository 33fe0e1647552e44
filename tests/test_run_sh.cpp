// test_run_sh.cpp: run.sh's own decisions: which command, whether Slurm, what to do without packages. The programs
// around it are stand-ins that print how they were called, so nothing is built, installed or queued.
#include <gtest/gtest.h>

#include "subprocess.h"
#include "temp_folder.h"

namespace fs = std::filesystem;

namespace {

// A copy of run.sh in a folder of its own, with a "run" that prints its arguments and a $PATH that holds only what is
// put into bin/ and the few tools that run.sh itself is made of.
class RunSh : public testing::Test {
  protected:
    void SetUp() override {
        fs::create_directory(folder_);
        fs::copy_file("run.sh", folder_ / "run.sh");
        fs::create_directory(folder_ / "tools");
        fs::copy("tools/shell", folder_ / "tools/shell");
        fs::create_directory(folder_ / "bin");
        for (const char* tool : {"bash", "cat", "dirname", "env", "mkdir", "mv", "nproc", "timeout"})
            for (const char* place : {"/usr/bin", "/bin"})
                if (fs::exists(fs::path(place) / tool) && !fs::exists(folder_ / "bin" / tool))
                    fs::create_symlink(fs::path(place) / tool, folder_ / "bin" / tool);
        stand_in("../run", "echo run \"$@\"");
    }

    void stand_in(const std::string& name, const std::string& script) {
        const fs::path path = folder_ / "bin" / name;
        std::ofstream(path) << "#!/bin/bash\n" << script << "\n";
        fs::permissions(path, fs::perms::owner_all);
    }

    // All that `test --quick` calls, and tests for `gpu` that do as `script` says; in one process, on one core.
    void prepare_quick_tests(const std::string& gpu, const std::string& script) {
        fs::create_symlink("/usr/bin/awk", folder_ / "bin/awk");
        fs::remove(folder_ / "bin/nproc");
        stand_in("nproc", "echo 1");
        stand_in("g++", "cat > /dev/null");
        stand_in("make", "exit 0");
        fs::create_directories(folder_ / "build" / gpu);
        stand_in("../build/" + gpu + "/gpu_tests", script);
    }

    ProgramResult run_sh(std::vector<std::string> args, const std::vector<std::string>& environment = {}) {
        std::vector<std::string> command = {"env", "-i", "-C", folder_.string(), "PATH=" + (folder_ / "bin").string()};
        command.insert(command.end(), environment.begin(), environment.end());
        command.push_back((folder_ / "run.sh").string());
        command.insert(command.end(), args.begin(), args.end());
        ProgramResult result = run_program(command);
        for (size_t at; (at = result.out.find(folder_.string())) != std::string::npos;)
            result.out.replace(at, folder_.string().size(), ".");
        return result;
    }

    const TempFolder temporary_;
    const fs::path folder_ = temporary_.path("clone");
};

TEST_F(RunSh, HelpNamesEveryCommand) {
    const ProgramResult r = run_sh({"-h"});
    EXPECT_EQ(r.code, 0);
    for (const char* name : {"demo", "test", "build", "run", "export", "bench", "fuzz", "default|fast|omp", "--quick"})
        EXPECT_NE(r.out.find(name), std::string::npos) << name;
}

TEST_F(RunSh, BadCommandsAreNamed) {
    const std::vector<std::vector<std::string>> cases = {{"dance"},
                                                         {"build", "slow"},
                                                         {"fuzz", "-t", "abc"},
                                                         {"fuzz", "-t", "0"},
                                                         {"test", "--slow"},
                                                         {"test", "--ci", "now"},
                                                         {"test", "-t", "soon"},
                                                         {"test", "--quick", "-t", "1.5"},
                                                         {"test", "--quick", "now"}};
    for (const auto& args : cases) {
        const ProgramResult r = run_sh(args);
        EXPECT_EQ(r.code, 2) << args[0];
        EXPECT_EQ(r.out, "");
        EXPECT_NE(r.err.find(args.back()), std::string::npos) << r.err;
    }
    EXPECT_EQ(run_sh({}).code, 2);
}

TEST_F(RunSh, RunPassesArgumentsOnAsTheyAre) {
    EXPECT_EQ(run_sh({"run", "model", "-i", "two  words"}).out, "run model -i two  words\n");
    EXPECT_EQ(run_sh({"export", "a", "b", "--to", "bin"}).out, "run export a b --to bin\n");
}

TEST_F(RunSh, FlagsFirstAreForTheProgram) {
    EXPECT_EQ(run_sh({"-c", "model.bin", "-m", "chat"}).out, "run -c model.bin -m chat\n");
    EXPECT_EQ(run_sh({"-i", "two  words"}).out, "run -i two  words\n");
}

// The command lines of the family's scripts, and what the program is then called with.
TEST_F(RunSh, WordsOfTheFamilysScriptsAreUnderstood) {
    const std::string files = "-i ./tests/data/input.txt -o ./tests/data/output.txt --overwrite";
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
        {{"run", "-m", "20", "-g", "1", "-b", "1", "-n", "64", "-t", "4", "-f"},
         "-c small -g 1 -b 1 -n 64 -t 4 -f 1 -m getp " + files},
        {{"run", "-m", "120"}, "-c large -m getp " + files},
        {{"run", "-m", "20", "-m", "chat"}, "-c small -m chat"},
        {{"run", "-m", "20", "-i", "Hello"}, "-c small -i Hello"},
        {{"run", "-m", "20", "-i", "in", "-o", "out"}, "-c small -i in -o out -m getp"},
        {{"run", "-m", "getp"}, "-m getp " + files},
        {{"run", "-m", "getp", "-i", "in"}, "-m getp -i in"},
        {{"run", "-f", "-i", "Hello"}, "-f 1 -i Hello"},
        {{"run", "-f", "0", "-i", "Hello"}, "-f 0 -i Hello"},
        {{"run", "-i", "-f", "-m", "chat"}, "-i -f -m chat"},
    };
    for (const auto& [args, expected] : cases)
        EXPECT_EQ(run_sh(args, {"GETP_MODEL_20B=small", "GETP_MODEL_120B=large"}).out, "run " + expected + "\n");
}

TEST_F(RunSh, ASizeIsAModelInTheFolderOrInTheHubsCache) {
    const std::vector<std::string> args = {"run", "-m", "20", "-i", "Hello"}, home = {"HOME=" + folder_.string()};
    const ProgramResult nowhere = run_sh(args, home);
    EXPECT_EQ(nowhere.code, 2);
    EXPECT_EQ(nowhere.out, "");
    for (const char* place : {"$GETP_MODEL_20B", "gpt-oss-20b*", "/.cache/huggingface/hub"})
        EXPECT_NE(nowhere.err.find(place), std::string::npos) << nowhere.err;

    const std::string snapshot = ".cache/huggingface/hub/models--openai--gpt-oss-20b/snapshots/0123abcd";
    fs::create_directories(folder_ / snapshot);
    EXPECT_EQ(run_sh(args, home).out, "run -c ./" + snapshot + " -i Hello\n");
    std::ofstream(folder_ / "gpt-oss-20b-mxfp4.bin") << "a model";
    EXPECT_EQ(run_sh(args, home).out, "run -c gpt-oss-20b-mxfp4.bin -i Hello\n");
}

TEST_F(RunSh, GetpWithoutFilesMakesItsInputOnce) {
    run_sh({"run", "-m", "getp"});
    const fs::path input = folder_ / "tests/data/input.txt";
    std::ifstream made(input);
    int count = 0, lines = -1;
    made >> count;
    for (std::string line; std::getline(made, line);) lines++;
    EXPECT_EQ(count, 32);
    EXPECT_EQ(lines, count);

    std::ofstream(input) << "1\nmine\n";
    run_sh({"run", "-m", "getp"});
    EXPECT_EQ(fs::file_size(input), 7u);
}

TEST_F(RunSh, ExitCodeIsTheProgramsOwn) {
    stand_in("../run", "exit 1");
    EXPECT_EQ(run_sh({"run"}).code, 1);
}

TEST_F(RunSh, SlurmWhoseControllerDoesNotAnswerIsNotUsed) {
    stand_in("srun", "echo srun \"$@\"");
    stand_in("sinfo", "exit 1");
    EXPECT_EQ(run_sh({"run", "model"}).out, "run model\n");
    fs::remove(folder_ / "bin/sinfo");
    EXPECT_EQ(run_sh({"run", "model"}).out, "run model\n") << "nor srun without sinfo";
}

TEST_F(RunSh, SlurmInReachGivesANodeOfItsOwn) {
    stand_in("srun", "echo srun \"$@\"");
    stand_in("sinfo", "exit 0");
    EXPECT_EQ(run_sh({"run", "model"}).out, "srun --ntasks=1 --cpu-bind=none --nodes=1 --exclusive ./run model\n");
}

TEST_F(RunSh, SlurmIsUsedUnaskedIfForced) {
    EXPECT_EQ(run_sh({"run", "model"}, {"FORCE_SRUN=1"}).code, 2) << "no srun";
    stand_in("srun", "echo srun \"$@\"");
    stand_in("sinfo", "exit 1");
    const std::string expected = "srun --ntasks=1 --cpu-bind=none --nodes=1 --exclusive ./run model\n";
    EXPECT_EQ(run_sh({"run", "model"}, {"FORCE_SRUN=1"}).out, expected);
    EXPECT_EQ(run_sh({"run", "model"}, {"FORCE_SRUN=0"}).out, "run model\n");
}

TEST_F(RunSh, InsideAnAllocationAllItsCoresAreUsed) {
    stand_in("srun", "echo srun \"$@\"");
    const auto out = [&](const std::string& cpus) {
        return run_sh({"run", "model"}, {"SLURM_JOB_ID=7", "SLURM_JOB_CPUS_PER_NODE=" + cpus}).out;
    };
    const std::string expected = "srun --ntasks=1 --cpu-bind=none --nodes=1 --cpus-per-task=64 ./run model\n";
    EXPECT_EQ(out("64"), expected);
    EXPECT_EQ(out("64(x2)"), expected) << "two nodes of 64";
    EXPECT_EQ(out("64,32"), expected) << "two nodes that differ";
}

TEST_F(RunSh, BuildIsForTheDeviceThatIsHere) {
    stand_in("g++", "cat > /dev/null");
    stand_in("make", "echo make \"$@\"");
    stand_in("nvcc", "exit 0");
    stand_in("nvidia-smi", "echo 9.0; echo 9.0");
    const auto builds = [&](const std::string& what, const std::vector<std::string>& environment) {
        const ProgramResult r = run_sh({"build"}, environment);
        EXPECT_EQ(r.code, 0);
        EXPECT_NE(r.err.find(" " + what + " run\n"), std::string::npos) << r.err;
    };
    builds("GPU=sm_90", {});
    builds("GPU=", {"GPU=none"});
    builds("GPU=gfx90a", {"GPU=gfx90a"});
    if (fs::exists("/dev/kfd")) return;  // an AMD device, which would be found next
    stand_in("nvidia-smi", "echo no devices >&2; exit 9");
    builds("GPU=", {});
}

// What a GoogleTest program prints, as far as run.sh reads it, if time is over after 2 of 4 tests.
constexpr const char* kTwoOfFour =
    "echo \"$@\" >&2; echo '[==========] Running 4 tests from 1 test suite.';"
    "echo '[ RUN      ] Gemm.One'; echo '[       OK ] Gemm.One (1 ms)';"
    "echo '[ RUN      ] Gemm.Two'; echo wrong by $GPU_TESTS_SECONDS;";

TEST_F(RunSh, QuickTestsStopInTimeAndSayHowMany) {
    prepare_quick_tests("emulate-cdna", kTwoOfFour + std::string("echo '[  FAILED  ] Gemm.Two (1 ms)';"
                                                                 "echo '[ RUN      ] Gemm.Three'; echo time is over"));
    const ProgramResult r = run_sh({"test", "--quick", "-t", "7"}, {"GPU=none"});
    EXPECT_EQ(r.code, 1);
    EXPECT_EQ(r.out, "1 passed, 1 failed\n");
    EXPECT_NE(r.err.find("wrong by 7\n"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("2 of 4 tests ran on emulate-cdna\n"), std::string::npos) << r.err;
}

TEST_F(RunSh, QuickTestsTakeTheDeviceThatIsHere) {
    prepare_quick_tests("sm_90", kTwoOfFour + std::string("echo '[       OK ] Gemm.Two (1 ms)'; echo time is over"));
    stand_in("nvcc", "exit 0");
    stand_in("nvidia-smi", "echo 9.0");
    const ProgramResult r = run_sh({"test", "--quick"});
    EXPECT_EQ(r.code, 0);
    EXPECT_EQ(r.out, "2 passed, 0 failed\n");
    EXPECT_NE(r.err.find("2 of 4 tests ran on sm_90\n"), std::string::npos) << r.err;
}

TEST_F(RunSh, QuickTestsForADeviceThatIsNotHereAreEmulated) {
    if (fs::exists("/dev/kfd")) GTEST_SKIP() << "an AMD device is here";
    prepare_quick_tests("emulate-rdna3",
                        kTwoOfFour + std::string("echo '[       OK ] Gemm.Two (1 ms)'; echo time is over"));
    const ProgramResult r = run_sh({"test", "-t", "30"}, {"GPU_ARCH=gfx1151"});
    EXPECT_EQ(r.code, 0);
    EXPECT_EQ(r.out, "2 passed, 0 failed\n");
    EXPECT_NE(r.err.find("2 of 4 tests ran on emulate-rdna3\n"), std::string::npos) << r.err;
}

TEST_F(RunSh, QuickTestsThatDieHaveFailed) {
    prepare_quick_tests("emulate-cdna", kTwoOfFour + std::string("kill -9 $$"));
    const ProgramResult r = run_sh({"test", "--quick"}, {"GPU=none"});
    EXPECT_EQ(r.code, 1);
    EXPECT_EQ(r.out, "1 passed, 1 failed\n");
    EXPECT_NE(r.err.find("wrong by 30\n"), std::string::npos) << r.err;
}

// make, in a folder with one source.
TEST_F(RunSh, MakeHandsQuickTestsOver) {
    fs::copy_file("Makefile", folder_ / "Makefile");
    stand_in("../run.sh", "echo \"$@\" on $GPU_ARCH");
    const ProgramResult r = run_program(
        {"make", "--no-print-directory", "-C", folder_.string(), "quick-tests", "TIMEOUT=7", "GPU_ARCH=gfx1151"});
    EXPECT_EQ(r.out, "test --quick -t 7 on gfx1151\n") << r.err;
}

TEST_F(RunSh, MakeAddsTheCallersFlags) {
    fs::copy_file("Makefile", folder_ / "Makefile");
    std::ofstream(folder_ / "run.cpp") << "int main() {}\n";
    const auto compile = [&](const std::vector<std::string>& variables) {
        std::vector<std::string> command = {
            "env", "-u", "WERROR", "-u", "CXXFLAGS", "make", "-n", "-C", folder_.string(), "build/obj/run.o"};
        command.insert(command.end(), variables.begin(), variables.end());
        return run_program(command).out;
    };
    EXPECT_NE(compile({"CXXFLAGS=-DADDED"}).find("-std=c++17 "), std::string::npos);
    EXPECT_NE(compile({"CXXFLAGS=-DADDED"}).find(" -DADDED "), std::string::npos);
    EXPECT_EQ(compile({}).find("-Werror"), std::string::npos);
    EXPECT_NE(compile({"WERROR=1"}).find(" -Werror "), std::string::npos);
    EXPECT_NE(compile({"CXX=clang++-99"}).find(" -Wno-unknown-warning-option "), std::string::npos);
}

TEST_F(RunSh, WithoutAnyPackagesItNamesThem) {
    const ProgramResult r = run_sh({"build"});
    EXPECT_EQ(r.code, 2);
    EXPECT_EQ(r.out, "");
    for (const char* package : {"g++", "make", "libpcre2-dev", "nlohmann-json3-dev", "libcli11-dev", "libfmt-dev",
                                "libedit-dev", "libevent-dev"})
        EXPECT_NE(r.err.find(package), std::string::npos) << package;
}

}  // namespace
