// test_cgroup.cpp: limits of containers and batch jobs, read from a made-up /proc and /sys.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/cgroup.h"
#include "base/memory.h"
#include "temp_folder.h"

namespace {

using Files = std::map<std::string, std::string>;

class Machine {
  public:
    explicit Machine(const Files& files) {
        for (const auto& [path, text] : files) {
            std::filesystem::create_directories(std::filesystem::path(folder_.path("root" + path)).parent_path());
            folder_.write("root" + path, text);
        }
    }
    std::string root() const { return folder_.path("root"); }

  private:
    TempFolder folder_;
};

TEST(Cgroup, MemoryLeft) {
    const std::string v2 = "/sys/fs/cgroup", v1 = "/sys/fs/cgroup/memory";
    const struct {
        const char* name;
        Files files;
        int64_t want;
    } cases[] = {
        {"no groups", {}, INT64_MAX},
        {"no limit", {{v2 + "/memory.max", "max\n"}, {v2 + "/memory.current", "5\n"}}, INT64_MAX},
        {"a limit, nothing in the cache", {{v2 + "/memory.max", "100\n"}, {v2 + "/memory.current", "30\n"}}, 70},
        {"page cache is free",
         {{v2 + "/memory.max", "100"},
          {v2 + "/memory.current", "96"},
          {v2 + "/memory.stat", "anon 1\nfile 95\ninactive_file 90\nactive_file 5\n"}},
         99},
        {"more in use than allowed", {{v2 + "/memory.max", "100"}, {v2 + "/memory.current", "130"}}, 0},
        {"a cache larger than the use, for a moment",
         {{v2 + "/memory.max", "100"}, {v2 + "/memory.current", "20"}, {v2 + "/memory.stat", "inactive_file 25\n"}},
         100},
        {"where reclaim begins counts too",
         {{v2 + "/memory.max", "100"}, {v2 + "/memory.high", "80"}, {v2 + "/memory.current", "10"}},
         70},
        {"the group's own limit",
         {{"/proc/self/cgroup", "0::/a/b\n"}, {v2 + "/a/b/memory.max", "50"}, {v2 + "/a/b/memory.current", "20"}},
         30},
        {"a limit of a group above",
         {{"/proc/self/cgroup", "0::/a/b/c\n"},
          {v2 + "/a/b/c/memory.max", "max"},
          {v2 + "/a/b/c/memory.current", "1"},
          {v2 + "/a/memory.max", "50"},
          {v2 + "/a/memory.current", "40"},
          {v2 + "/a/memory.stat", "inactive_file 5\nactive_file 4\n"}},
         19},
        {"the group seen from inside, where its path is not there",
         {{"/proc/self/cgroup", "0::/docker/1234\n"}, {v2 + "/memory.max", "50"}, {v2 + "/memory.current", "20"}},
         30},
        {"a path from outside",
         {{"/proc/self/cgroup", "0::/../other\n"}, {v2 + "/memory.max", "50"}, {v2 + "/memory.current", "20"}},
         30},
        {"version 1",
         {{"/proc/self/cgroup", "9:name=systemd:/\n4:memory:/job/1\n0::/\n"},
          {v1 + "/job/1/memory.limit_in_bytes", "100\n"},
          {v1 + "/job/1/memory.usage_in_bytes", "90\n"},
          {v1 + "/job/1/memory.stat", "inactive_file 1\ntotal_inactive_file 50\ntotal_active_file 20\n"}},
         80},
        {"version 1, no limit",
         {{"/proc/self/cgroup", "4:memory:/\n"},
          {v1 + "/memory.limit_in_bytes", "9223372036854771712\n"},
          {v1 + "/memory.usage_in_bytes", "0\n"}},
         9223372036854771712},
        {"version 1, among other controllers, limited above",
         {{"/proc/self/cgroup", "4:hugetlb,memory:/slurm/job/step\n"},
          {v1 + "/slurm/memory.limit_in_bytes", "70\n"},
          {v1 + "/slurm/memory.usage_in_bytes", "10\n"}},
         60},
    };
    for (const auto& c : cases) EXPECT_EQ(cgroup_memory_left(Machine(c.files).root()), c.want) << c.name;
}

TEST(Cgroup, Cpus) {
    const std::string v2 = "/sys/fs/cgroup", v1 = "/sys/fs/cgroup/cpu";
    const struct {
        const char* name;
        Files files;
        double want;
    } cases[] = {
        {"no groups", {}, 0},
        {"no limit", {{v2 + "/cpu.max", "max 100000\n"}}, 0},
        {"two", {{v2 + "/cpu.max", "200000 100000\n"}}, 2},
        {"half a one", {{v2 + "/cpu.max", "50000 100000\n"}}, 0.5},
        {"less above",
         {{"/proc/self/cgroup", "0::/a/b\n"},
          {v2 + "/a/b/cpu.max", "800000 100000\n"},
          {v2 + "/a/cpu.max", "300000 100000\n"}},
         3},
        {"version 1",
         {{"/proc/self/cgroup", "3:cpu,cpuacct:/x\n"},
          {v1 + "/x/cpu.cfs_quota_us", "150000\n"},
          {v1 + "/x/cpu.cfs_period_us", "100000\n"}},
         1.5},
        {"version 1, a folder for two controllers",
         {{"/proc/self/cgroup", "3:cpu,cpuacct:/x\n"},
          {"/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "150000\n"},
          {"/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"}},
         1.5},
        {"version 1, no limit", {{v1 + "/cpu.cfs_quota_us", "-1\n"}, {v1 + "/cpu.cfs_period_us", "100000\n"}}, 0},
        {"no period", {{v1 + "/cpu.cfs_quota_us", "5\n"}, {v1 + "/cpu.cfs_period_us", "0\n"}}, 0},
    };
    for (const auto& c : cases) EXPECT_EQ(cgroup_cpus(Machine(c.files).root()), c.want) << c.name;
}

TEST(Memory, TheLessOfWhatTheMachineAndTheContainerLeave) {
    Files files{{"/proc/meminfo", "MemTotal: 100 kB\nHugePages_Total:       0\nMemAvailable:   60 kB\n"}};
    EXPECT_EQ(available_memory_bytes(Machine(files).root()), 60 * 1024);
    files["/sys/fs/cgroup/memory.max"] = "40960";
    files["/sys/fs/cgroup/memory.current"] = "10240";
    EXPECT_EQ(available_memory_bytes(Machine(files).root()), 30 * 1024);
    files["/sys/fs/cgroup/memory.max"] = "409600";
    EXPECT_EQ(available_memory_bytes(Machine(files).root()), 60 * 1024);
}

}  // namespace
