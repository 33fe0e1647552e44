// cgroup.cpp: a group's limits are files in its folder, and a process obeys those of all folders above it too.
//
// Version 2 has one tree, version 1 a tree for each kind of limit; a machine may have both, and hold memory in the
// older one. A container sees its own group as the root, so the path that the kernel names may not exist in it: missing
// folders are passed over, and the root is always read.
#include "base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

namespace {

// The file's first number; false if there is none, as in "max".
bool read_number(const std::string& path, int64_t& number) {
    return bool(std::ifstream(path) >> number);
}

// The sum of the fields of memory.stat that have these names.
int64_t sum_of_fields(const std::string& path, const std::vector<std::string>& names) {
    std::ifstream file(path);
    int64_t sum = 0, value = 0;
    for (std::string name; file >> name >> value;)
        if (std::find(names.begin(), names.end(), name) != names.end()) sum += value;
    return sum;
}

// This process's group in the tree of `controller`, or of version 2 if that is "". "/": the kernel names none.
std::string group_of(const std::string& root, const std::string& controller) {
    std::ifstream file(root + "/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {  // "4:memory,hugetlb:/path"; "0::/path"
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        std::istringstream list(line.substr(first + 1, second - first - 1));
        const std::string path = line.substr(second + 1);
        if (controller.empty() && first + 1 == second) return path;
        for (std::string name; std::getline(list, name, ',');)
            if (name == controller) return path;
    }
    return "/";
}

// Calls visit(folder) for the group and all above it, the root last.
template <class F>
void each_folder(const std::string& tree, std::string group, F&& visit) {
    if (group.find("..") != std::string::npos) group = "/";  // outside of what this process may see
    while (group.size() > 1) {
        visit(tree + group);
        group.resize(group.rfind('/'));
    }
    visit(tree);
}

template <class F>
void each_folder_of_v2(const std::string& root, F&& visit) {
    for (const char* tree : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
        each_folder(root + tree, group_of(root, ""), visit);
}

template <class F>
void each_folder_of_v1(const std::string& root, const std::string& controller, F&& visit) {
    for (const std::string& tree : {controller, std::string("cpu,cpuacct")})
        if (tree == controller || controller == "cpu")
            each_folder(root + "/sys/fs/cgroup/" + tree, group_of(root, controller), visit);
}

}  // namespace

int64_t cgroup_memory_left(const std::string& root) {
    int64_t left = INT64_MAX;
    const auto look = [&](const std::string& limit_file, const std::string& used_file, int64_t page_cache) {
        int64_t limit = 0, used = 0;
        if (!read_number(limit_file, limit) || !read_number(used_file, used)) return;
        left = std::min(left, std::max<int64_t>(limit - std::max<int64_t>(used - page_cache, 0), 0));
    };
    each_folder_of_v2(root, [&](const std::string& folder) {
        const int64_t cache = sum_of_fields(folder + "/memory.stat", {"inactive_file", "active_file"});
        for (const char* limit : {"/memory.max", "/memory.high"})
            look(folder + limit, folder + "/memory.current", cache);
    });
    each_folder_of_v1(root, "memory", [&](const std::string& folder) {
        const int64_t cache = sum_of_fields(folder + "/memory.stat", {"total_inactive_file", "total_active_file"});
        look(folder + "/memory.limit_in_bytes", folder + "/memory.usage_in_bytes", cache);
    });
    return left;
}

double cgroup_cpus(const std::string& root) {
    double cpus = 0;
    const auto look = [&](int64_t quota, int64_t period) {
        if (quota > 0 && period > 0)
            cpus = cpus > 0 ? std::min(cpus, double(quota) / double(period)) : double(quota) / double(period);
    };
    each_folder_of_v2(root, [&](const std::string& folder) {
        int64_t quota = 0, period = 0;
        if (std::ifstream(folder + "/cpu.max") >> quota >> period) look(quota, period);
    });
    each_folder_of_v1(root, "cpu", [&](const std::string& folder) {
        int64_t quota = 0, period = 0;
        if (read_number(folder + "/cpu.cfs_quota_us", quota) && read_number(folder + "/cpu.cfs_period_us", period))
            look(quota, period);
    });
    return cpus;
}
