// test_claims.cpp: claims of processes that share a folder: one owner each, free again when that one is dead or silent.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "batch/claims.h"
#include "temp_folder.h"

namespace fs = std::filesystem;

namespace {

// Seconds ago, by the file system's clock.
void make_older(const std::string& path, int seconds) {
    fs::last_write_time(path, fs::last_write_time(path) - std::chrono::seconds(seconds));
}

TEST(Claims, EachHasOneOwner) {
    const TempFolder folder;
    Claims one(folder.path(), 60), other(folder.path(), 60);
    EXPECT_NE(one.owner(), other.owner());
    EXPECT_TRUE(one.take("a"));
    EXPECT_FALSE(other.take("a"));
    EXPECT_TRUE(other.take("b"));
    EXPECT_FALSE(one.take("b"));
    other.release("a");
    EXPECT_FALSE(other.take("a")) << "it was not its own";
    one.release("a");
    EXPECT_TRUE(other.take("a"));
}

TEST(Claims, OfManyThatWantItOneGetsIt) {
    const TempFolder folder;
    constexpr int kProcesses = 8, kNames = 50;
    std::vector<std::unique_ptr<Claims>> all;
    for (int i = 0; i < kProcesses; i++) all.push_back(std::make_unique<Claims>(folder.path(), 60));
    std::atomic<int> n_taken{0};
    std::vector<std::thread> threads;
    for (const auto& claims : all)
        threads.emplace_back([&] {
            for (int i = 0; i < kNames; i++) n_taken += claims->take(std::to_string(i));
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(n_taken, kNames);
    all.clear();
    EXPECT_TRUE(fs::is_empty(folder.path())) << "and nothing is left of them";
}

TEST(Claims, ASilentOwnersAreTaken) {
    const TempFolder folder;
    folder.write("a.claim", "0123 another-host 17 4711\n");
    Claims claims(folder.path(), 60);
    EXPECT_FALSE(claims.take("a")) << "it is new";
    make_older(folder.path("a.claim"), 59);
    EXPECT_FALSE(claims.take("a"));
    make_older(folder.path("a.claim"), 2);
    EXPECT_TRUE(claims.take("a"));
    EXPECT_EQ(folder.read("a.claim").find(claims.owner()), 0u);
}

TEST(Claims, ADeadOwnersAreTakenAtOnceOnItsMachine) {
    char host[256] = "";
    ASSERT_EQ(gethostname(host, sizeof host - 1), 0);
    const TempFolder folder;
    const pid_t pid = fork();
    if (pid == 0) {
        Claims dying(folder.path(), 60);
        dying.take("a");
        _exit(0);  // as kill -9 would: nothing is released
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ASSERT_NE(folder.read("a.claim"), "");
    Claims claims(folder.path(), 60);
    EXPECT_TRUE(claims.take("a"));
    // A process of that number, but a later one.
    folder.write("b.claim", "0123 " + std::string(host) + " " + std::to_string(getpid()) + " 1\n");
    EXPECT_TRUE(claims.take("b"));
}

TEST(Claims, OnesThatAreRenewedStay) {
    const TempFolder folder;
    Claims one(folder.path(), 0.4), other(folder.path(), 0.4);
    ASSERT_TRUE(one.take("a"));
    for (int i = 0; i < 10; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        EXPECT_FALSE(other.take("a"));
    }
}

TEST(Claims, AHalfWrittenOneIsSilentAfterAWhile) {
    const TempFolder folder;
    folder.write("a.claim", "");
    Claims claims(folder.path(), 60);
    EXPECT_FALSE(claims.take("a"));
    make_older(folder.path("a.claim"), 61);
    EXPECT_TRUE(claims.take("a"));
}

TEST(Claims, AFolderThatIsGoneHasNone) {
    TempFolder folder;
    fs::create_directory(folder.path("parts"));
    Claims claims(folder.path("parts"), 60);
    fs::remove_all(folder.path("parts"));
    EXPECT_FALSE(claims.take("a"));
}

}  // namespace
