// sampler.h: logits to a token.
#pragma once
#include <cstdint>

#include "replica.h"

// In place of a token: the logits hold a NaN or +infinity, or no number at all. -infinity rules a token out.
constexpr int kNotFinite = -2;

// The largest of n logits, ties to the smaller id; or kNotFinite.
int most_likely(const float* logits, int n);

// Draws a token from logits (vocab_size), or says kNotFinite. `pos` is the position whose logits these are; it and the
// seed alone give the number that is drawn with, so that a request draws the same in any batch. First the repetition
// penalty changes the logits of the tokens in `text`, once for each; then the other penalties are taken from those of
// the tokens in the answer; then the bias is added. temperature 0: the largest, ties to the smaller id. Otherwise
// softmax(logits / temperature), cut by min_p, then to the top_k most likely tokens, then to the smallest set of them
// that holds top_p of the probability that is left, ties to the smaller id. What is ruled out counts as -infinity, even
// where its logit is no number. Where only one token is allowed, logits are not read.
int sample_token(const float* logits, int vocab_size, const Sampling& sampling, uint64_t pos,
                 const TextSoFar& text = {});

// softmax(logits) in double. The logits are finite, or -infinity.
TokenLogprobs logprobs_of(const float* logits, int vocab_size, int drawn, int n_top);

// Draws the token of row `row` of a step from its logits.
void draw_row(StepResult& result, const Batch& batch, int row, const float* logits, int vocab_size);
// Says how likely it is, if the row asks for that.
void tell_row(StepResult& result, const Batch& batch, int row, const float* logits, int vocab_size);
// Makes room for what draw_row and tell_row say.
void begin_result(StepResult& result, const Batch& batch);
