// step_input.h: what the host tells the device about a step, in one copy.
#pragma once
#include "gpu/device_memory.h"
#include "gpu/forward.h"
#include "replica.h"

// Tokens, query tiles and rows of a batch, laid out for given numbers of them, so that a recorded graph finds each
// array where it was. What a batch leaves free is padding: tokens without a sequence, rows that sample and are not
// read.
struct StepSizes {
    int n_tokens = 0, n_tiles = 0, n_rows = 0;
};
// Bytes of device memory for any step of up to max_tokens.
int64_t step_input_bytes(int max_tokens);
// Where all of it is in device memory. Spans, keys and results are left to the caller.
StepView view_step_input(const StepSizes& sizes, char* device);

// One step's, in pinned memory.
class StepInput {
  public:
    StepInput(const Config& config, int max_tokens);

    // What the batch needs, without padding.
    StepSizes sizes_of(const Batch& batch) const;
    // Row r's token will be in place first_place + r of what is sampled; place_of_slot: where each slot's last one is.
    void fill(const Batch& batch, const StepSizes& sizes, int first_place, const std::vector<int>& place_of_slot);
    void send(const StepSizes& sizes, char* device, gpu::Stream stream) const;

  private:
    const int tokens_per_tile_;
    PinnedMemory pinned_;
};
