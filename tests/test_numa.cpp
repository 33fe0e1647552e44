// test_numa.cpp: node lists, and that the policy asked for is the one that the system then reports.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "base/numa.h"

namespace {

TEST(Numa, NumberLists) {
    EXPECT_EQ(parse_number_list("0"), (std::vector<int>{0}));
    EXPECT_EQ(parse_number_list("0-1"), (std::vector<int>{0, 1}));
    EXPECT_EQ(parse_number_list("0,2-4,7"), (std::vector<int>{0, 2, 3, 4, 7}));
    for (const char* not_a_list : {"", "a", "1-", "-1", "3-1", "1 2", "1,,2"})
        EXPECT_EQ(parse_number_list(not_a_list), (std::vector<int>{})) << not_a_list;
}

TEST(Numa, EveryMachineHasANodeWithMemory) {
    EXPECT_GE(memory_nodes().size(), 1u);
}

TEST(Numa, InterleavesFromThenOnAndInThreadsToCome) {
    struct Policy {
        int mode = -1;
        unsigned long nodes[16] = {};
    };
    const auto policy = [] {
        Policy p;
        syscall(SYS_get_mempolicy, &p.mode, p.nodes, 1024, nullptr, 0);
        return p;
    };
    const int node = memory_nodes().front();
    bool refused = false;
    Policy before, after, of_child;
    std::thread([&] {  // the policy is this thread's, and ends with it
        before = policy();
        refused = !interleave_memory({node});
        after = policy();
        std::thread([&] { of_child = policy(); }).join();
    })
        .join();
    if (refused) GTEST_SKIP() << "this system lets no process choose";
    constexpr int kDefault = 0, kInterleave = 3;  // MPOL_*
    EXPECT_EQ(before.mode, kDefault);
    EXPECT_EQ(after.mode, kInterleave);
    EXPECT_EQ(after.nodes[0], 1UL << node);
    EXPECT_EQ(of_child.mode, kInterleave);
}

}  // namespace
