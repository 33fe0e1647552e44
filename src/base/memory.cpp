// memory.cpp: /proc/meminfo, the container's limit, the process's own limits, mincore.
#include "base/memory.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "base/cgroup.h"

int64_t available_memory_bytes(const std::string& root) {
    int64_t available = INT64_MAX, kilobytes = 0;
    std::ifstream meminfo(root + "/proc/meminfo");
    std::string rest;
    for (std::string key; meminfo >> key >> kilobytes && std::getline(meminfo, rest);)
        if (key == "MemAvailable:") available = kilobytes * 1024;
    return std::min(available, cgroup_memory_left(root));
}

int64_t address_space_left_bytes() {
    int64_t total = 0, resident = 0, shared = 0, text = 0, library = 0, data = 0;  // pages; see proc(5), statm
    std::ifstream("/proc/self/statm") >> total >> resident >> shared >> text >> library >> data;
    const int64_t page = sysconf(_SC_PAGESIZE);
    int64_t left = INT64_MAX;
    const auto look = [&](auto resource, int64_t used_pages) {
        rlimit limit{};
        if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
        left = std::min(left, std::max<int64_t>(int64_t(limit.rlim_cur) - used_pages * page, 0));
    };
    look(RLIMIT_AS, total);
    look(RLIMIT_DATA, data);
    return left;
}

int64_t missing_bytes(const uint8_t* data, int64_t n_bytes) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t before = int64_t(reinterpret_cast<uintptr_t>(data)) % page;
    std::vector<unsigned char> present(size_t((before + n_bytes + page - 1) / page));
    if (mincore(const_cast<uint8_t*>(data) - before, size_t(before + n_bytes), present.data()) != 0) return 0;
    const auto missing = std::count_if(present.begin(), present.end(), [](unsigned char p) { return !(p & 1); });
    return std::min<int64_t>(missing * page, n_bytes);
}
