// process.h: what this process needs from the machine before its work begins: OpenMP's settings, stacks, threads.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

// Called early in main(). OpenMP has read its settings by then; if it needs others, this starts the program again in
// place of itself. Throws Error if the system refuses the threads.
void prepare_process(char** argv);

// Environment variables to add if this process may use `n_cpus` CPUs for `quota` CPUs' time (0: all of it). None that
// the user has set.
std::vector<std::pair<std::string, std::string>> openmp_settings(
    const std::function<const char*(const char*)>& environment, int n_cpus, double quota);
