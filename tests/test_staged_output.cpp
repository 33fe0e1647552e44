// test_staged_output.cpp: outputs that get their name last: no planted link is followed, nothing is left behind.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/staged_output.h"
#include "error.h"
#include "subprocess.h"
#include "temp_folder.h"

namespace fs = std::filesystem;

namespace {

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
    return names;
}

// How a child process ended that `action` ran in.
template <class Action>
int status_of_child(Action action) {
    const pid_t child = fork();
    if (child == 0) {
        let_signals_end_this_process();
        action();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

TEST(StagedOutput, ANameAppearsWhenItsFileIsComplete) {
    const TempFolder folder;
    AtomicFile file(folder.path("out"), Existing::kRefuse);
    file.write("all");
    EXPECT_FALSE(fs::exists(folder.path("out")));
    file.commit();
    EXPECT_EQ(folder.read("out"), "all");
    EXPECT_EQ(names_in(folder.path()).size(), 1u);
}

TEST(StagedOutput, TemporaryNamesCannotBeGuessed) {
    const TempFolder folder;
    std::string first;
    for (int i = 0; i < 2; i++) {
        const AtomicFile file(folder.path("out"));
        const std::vector<std::string> names = names_in(folder.path());
        ASSERT_EQ(names.size(), 1u);
        EXPECT_EQ(names[0].find(std::to_string(getpid())), std::string::npos);
        EXPECT_NE(names[0], first);
        first = names[0];
    }
    EXPECT_TRUE(fs::is_empty(folder.path())) << "without commit() they go";
}

TEST(StagedOutput, ANameTakenMeanwhileIsNotReplaced) {
    const TempFolder folder;
    AtomicFile file(folder.path("out"), Existing::kRefuse);
    file.write("ours");
    folder.write("out", "another's");
    EXPECT_THROW(file.commit(), Error);
    EXPECT_EQ(folder.read("out"), "another's");
}

TEST(StagedOutput, SignalsRemoveFilesAndFolders) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        const TempFolder folder;
        const int status = status_of_child([&] {
            AtomicFile file(folder.path("file"));
            StagedDirectory directory(folder.path("directory"));
            AtomicFile one(directory.file("one"));
            one.commit();
            AtomicFile two(directory.file("two"));
            raise(signal);
        });
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal);
        EXPECT_TRUE(fs::is_empty(folder.path())) << names_in(folder.path())[0];
    }
}

TEST(StagedOutput, IgnoredSignalsStayIgnored) {
    const TempFolder folder;
    const int status = status_of_child([&] {
        std::signal(SIGHUP, SIG_IGN);  // as nohup does
        AtomicFile file(folder.path("file"));
        raise(SIGHUP);
        file.commit();
    });
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_TRUE(fs::exists(folder.path("file")));
}

TEST(StagedOutput, SignalsActAsBeforeOnceAllIsDone) {
    const TempFolder folder;
    const int status = status_of_child([&] {
        AtomicFile file(folder.path("file"));
        file.commit();
        raise(SIGTERM);
    });
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_TRUE(fs::exists(folder.path("file"))) << "what is complete stays";
}

}  // namespace
