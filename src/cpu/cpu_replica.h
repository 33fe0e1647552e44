// cpu_replica.h: the batched forward pass on the CPU, for all modes.
#pragma once
#include <memory>

#include "replica.h"

// Keeps a pointer to `model`. Throws Error if the KV cache does not fit in memory. With options.reference: the plain
// one-token-at-a-time path of reference.h instead.
std::unique_ptr<Replica> make_cpu_replica(const Model& model, const EngineOptions& options);
