// gpus.h: makes the replicas of a program built for GPUs. In other programs, no_gpu.cpp has the same functions: the
// linker takes those of the GPU objects if there are any, because it sees them before this library.
#pragma once
#include <memory>
#include <vector>

#include "replica.h"

// Makes the replicas, and loads them at the same time. Throws Error (too little memory, a config that the kernels do
// not take).
std::vector<std::unique_ptr<Replica>> make_gpu_replicas(const Model& model, const EngineOptions& options);
