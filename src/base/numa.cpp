// numa.cpp: set_mempolicy without a library.
#include "base/numa.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <fstream>

std::vector<int> parse_number_list(const std::string& list) {
    std::vector<int> numbers;
    const char *p = list.data(), *const end = p + list.size();
    while (p < end) {
        int first = 0;
        auto [after, error] = std::from_chars(p, end, first);
        if (error != std::errc() || first < 0) return {};
        int last = first;
        if (after < end && *after == '-') {
            const auto range_end = std::from_chars(after + 1, end, last);
            if (range_end.ec != std::errc() || last < first) return {};
            after = range_end.ptr;
        }
        for (int n = first; n <= last; n++) numbers.push_back(n);
        if (after < end && *after != ',') return {};
        p = after + 1;
    }
    return numbers;
}

std::vector<int> memory_nodes() {
    std::string list;
    std::ifstream("/sys/devices/system/node/has_memory") >> list;
    const std::vector<int> nodes = parse_number_list(list);
    return nodes.empty() ? std::vector<int>{0} : nodes;
}

bool interleave_memory(const std::vector<int>& nodes) {
    constexpr int kInterleave = 3, kMaxNodes = 1024;  // MPOL_INTERLEAVE; what Linux can be built for
    constexpr int kWordBits = 8 * sizeof(unsigned long);
    unsigned long mask[kMaxNodes / kWordBits] = {};
    for (const int node : nodes)
        if (node < kMaxNodes) mask[node / kWordBits] |= 1UL << node % kWordBits;
    return syscall(SYS_set_mempolicy, kInterleave, mask, kMaxNodes + 1) ==
           0;  // Linux reads one bit less than it is told
}
