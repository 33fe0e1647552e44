// sampler.h: logits to a token.
#pragma once
#include <cstdint>

#include "engine.h"

// In place of a token: the logits hold a NaN or +infinity, or no number at all. -infinity rules a token out.
constexpr int kNotFinite = -2;

// The largest of n logits, ties to the smaller id; or kNotFinite.
int most_likely(const float* logits, int n);

// Draws a token from logits (vocab_size), or says kNotFinite. `pos` is the position whose logits these are; it and the
// seed alone give the number that is drawn with, so that a request draws the same in any batch. First the repetition
// penalty changes the logits of the tokens in `context` (pos + 1), once for each. temperature 0: the largest, ties to
// the smaller id. Otherwise softmax(logits / temperature), cut to the top_k most likely tokens, then to the smallest
// set of them that holds top_p of the probability that is left, both with ties to the smaller id. What is ruled out
// counts as -infinity, even where its logit is no number.
int sample_token(const float* logits, int vocab_size, const Sampling& sampling, uint64_t pos,
                 const int* context = nullptr);
