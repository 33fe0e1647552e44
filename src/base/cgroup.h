// cgroup.h: memory and CPU time that the container or batch job allows: Linux's control groups, both versions.
#pragma once
#include <cstdint>
#include <string>

// Memory that the strictest of this process's groups still allows. Page cache counts as free. INT64_MAX: no limit.
// `root` is put before /proc and /sys.
int64_t cgroup_memory_left(const std::string& root = "");

// How many CPUs' time this process may use; 0: no limit.
double cgroup_cpus(const std::string& root = "");
