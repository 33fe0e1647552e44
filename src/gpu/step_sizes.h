// step_sizes.h: how much a step of the GPU replica takes, with reasons. No bit of a result depends on it.
#pragma once
#include "kernels/kernels.h"

// Tokens a step. 4096 keep 128 rows a block full for 32 experts with 4 of them a token (512 rows each); activations are
// 0.5 GB then.
constexpr int kMaxStepTokens = 4096;
// Of one prompt at a time. A lone prompt of gpt-oss-20b then has 256 rows for each expert, not 64 as with 512 tokens;
// sliding layers keep the pages of a window and a chunk while it is read: 69 of 0.8 MB.
constexpr int kGpuPrefillChunk = 2048;
// Of all prompts in a step that decodes too: half of a step, so that whoever reads an answer waits at most twice as
// long for a token as without prompts; and enough rows for every expert's block.
constexpr int kMaxPrefillBesideDecode = 2048;
// Rows of logits at once: 256 × 201088 floats are 206 MB.
constexpr int kLogitRowsAtOnce = 256;
// Rows of a step whose logits go to the host, because it draws their tokens or says how likely they are: 64 × 201088
// floats are 51 MB of pinned memory for each step in flight.
constexpr int kMostLogitRows = 64;

// One step runs on each device of a chain, and one more waits behind them, while the host reads the tokens of the one
// before.
constexpr int steps_in_flight(int n_devices) {
    return n_devices + 1;
}

// Sizes for which decode steps are recorded: powers of two up to 32, then multiples of 32, so that at most 31 rows, or
// less than one in two, are padding.
constexpr int decode_bucket(int n_tok) {
    int bucket = 1;
    while (bucket < n_tok && bucket < 32) bucket *= 2;
    return bucket >= n_tok ? bucket : (n_tok + 31) / 32 * 32;
}
constexpr int spans_of(int n_keys) {
    return (n_keys + kSpanPositions - 1) / kSpanPositions;
}
// Grids of recorded attention steps are sized for a power of two of spans.
constexpr int span_bucket(int n_spans) {
    int bucket = 1;
    while (bucket < n_spans) bucket *= 2;
    return bucket;
}
// The most spans that a step is launched for.
constexpr int most_spans(int max_context) {
    return span_bucket(spans_of(max_context));
}
