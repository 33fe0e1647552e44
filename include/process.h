// process.h: what this process asks of the machine before its work begins: OpenMP's settings, stacks, threads.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

// First thing in main(). Starts the program anew, in place, if OpenMP needs settings, which it reads before main().
// Throws Error if the threads that it wants cannot be had.
void prepare_process(char** argv);

// Environment variables to be added for `n_cpus` that may be used, for `quota` CPUs' worth of time (0: all of it). What
// the user has set stands.
std::vector<std::pair<std::string, std::string>> openmp_settings(
    const std::function<const char*(const char*)>& environment, int n_cpus, double quota);
