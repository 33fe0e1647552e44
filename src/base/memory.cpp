// memory.cpp: /proc/meminfo, the container's limit, mincore.
#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

int64_t available_memory_bytes() {
    int64_t available = INT64_MAX;
    std::ifstream meminfo("/proc/meminfo");
    for (std::string key, rest; meminfo >> key && std::getline(meminfo, rest);)
        if (key == "MemAvailable:") available = std::stoll(rest) * 1024;
    int64_t limit = 0, used = 0;
    if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && std::ifstream("/sys/fs/cgroup/memory.current") >> used)
        available = std::min(available, limit - used);
    return std::max<int64_t>(available, 0);
}

int64_t missing_bytes(const uint8_t* data, int64_t n_bytes) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t before = int64_t(reinterpret_cast<uintptr_t>(data)) % page;
    std::vector<unsigned char> present(size_t((before + n_bytes + page - 1) / page));
    if (mincore(const_cast<uint8_t*>(data) - before, size_t(before + n_bytes), present.data()) != 0) return 0;
    const auto missing = std::count_if(present.begin(), present.end(), [](unsigned char p) { return !(p & 1); });
    return std::min<int64_t>(missing * page, n_bytes);
}
