// step_input.h: what the host tells the device about a step, in one copy.
#pragma once
#include "gpu/device_memory.h"
#include "gpu/forward.h"
#include "replica.h"

// Tokens, query tiles and rows of a batch, laid out for given numbers of them, so that a recorded graph finds each
// array where it was. What a batch leaves free is padding: tokens without a sequence, rows that sample and are not
// read.
class StepInput {
  public:
    StepInput(const Config& config, int max_tokens);

    struct Sizes {
        int n_tokens, n_tiles, n_rows;
    };
    // What the batch needs, without padding.
    Sizes sizes_of(const Batch& batch) const;
    // Fills pinned memory and says where in device memory all will be. sampled: where the step's tokens will be. The
    // spans are left to the caller.
    StepView fill(const Batch& batch, const Sizes& sizes, int* sampled);
    // Sends what was filled, or is when a recorded send is replayed.
    void send(const Sizes& sizes, gpu::Stream stream);

  private:
    const int tokens_per_tile_;
    PinnedMemory pinned_;
    DeviceMemory device_;
};
