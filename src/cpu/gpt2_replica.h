// gpt2_replica.h: GPT-2's batched forward pass on the CPU.
#pragma once
#include <memory>

#include "cpu/kernels.h"
#include "replica.h"

// Keeps a pointer to `model`, which is a GPT-2. Matrices that a file has transposed are copied, row by row.
std::unique_ptr<Replica> make_gpt2_replica(const Model& model, const EngineOptions& options, const Kernels& kernels);
