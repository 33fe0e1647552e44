// step_input.h: what the host tells the devices about a step, in one copy each.
#pragma once
#include "gpu/device_memory.h"
#include "gpu/forward.h"
#include "replica.h"

// How large a step is. A recorded graph fits any step of the same shape but for the keys, which are for accounts.
struct StepShape {
    int n_tokens = 0, n_tiles = 0, n_group_tiles = 0, n_rows = 0;
    bool recorded = false;                // sizes are rounded up, so that a graph serves again
    int full_spans = 0, ring_spans = 0;   // at least as many as any tile's keys lie in
    StepView::Keys full_keys, ring_keys;  // of one layer of a kind
};
// Bytes of device memory for any step of up to max_tokens.
int64_t step_input_bytes(int max_tokens);
// Where all of it is in device memory. What is sampled, and where it was, is left to the caller.
StepView view_step_input(const StepShape& shape, char* device);

// One step's tokens, query tiles and rows, in pinned memory, laid out for given numbers of them, so that a recorded
// graph finds each array where it was. What a batch leaves free is padding: tokens without a sequence, rows that sample
// and are not read.
class StepInput {
  public:
    StepInput(const CommonConfig& config, int max_tokens);

    // graphs: steps that only decode may be recorded.
    StepShape shape_of(const Batch& batch, bool graphs) const;
    // Row r's token will be in place first_place + r of what is sampled; place_of_slot: where each slot's last one is.
    void fill(const Batch& batch, const StepShape& shape, int first_place, const std::vector<int>& place_of_slot);
    void send(const StepShape& shape, char* device, gpu::Stream stream) const;

  private:
    template <class F>
    void each_tile(const Batch& batch, F&& visit) const;
    void count_keys(StepShape& shape, const Batch& batch) const;

    const int max_tokens_, tokens_per_tile_, tokens_per_group_tile_, window_;
    PinnedMemory pinned_;
};
