// process.h: what this process asks of the machine before its work begins: OpenMP's settings, stacks, threads.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

// First thing in main(). If OpenMP, which reads its settings before main(), needs others, starts the program anew in
// place. Throws Error if the system refuses the threads.
void prepare_process(char** argv);

// Environment variables to add where `n_cpus` may be used for `quota` CPUs' worth of time (0: all of it). None that the
// user has set.
std::vector<std::pair<std::string, std::string>> openmp_settings(
    const std::function<const char*(const char*)>& environment, int n_cpus, double quota);
