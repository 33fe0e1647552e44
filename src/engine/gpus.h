// gpus.h: the replicas of a program built for GPUs; no_gpu.cpp stands in where there are none. The linker takes the one
// from the GPU objects if there is one, because it sees them before this library.
#pragma once
#include <memory>
#include <vector>

#include "replica.h"

// One replica a GPU, loaded at the same time. Throws Error (too little memory, a config that the kernels do not take).
std::vector<std::unique_ptr<Replica>> make_gpu_replicas(const Model& model, const EngineOptions& options);
