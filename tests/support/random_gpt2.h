// random_gpt2.h: writes a GPT-2 with seeded random weights, as llm.c's files or as a Hugging Face snapshot.
//
// Every number has at most 8 bits, so that f32, bf16 and f16 hold the same. No tensor is trivial: a lost bias, a
// swapped pair or a transposed matrix changes the logits visibly.
#pragma once
#include <string>
#include <vector>

#include "model.h"

struct Gpt2Spec {
    int n_layers = 2, n_heads = 2, dim = 128, vocab = 641, context = 96;
};
// tiny; odd: heads of 32 elements, nothing a power of two; 124M and medium (355M): the published shapes.
Gpt2Spec gpt2_preset(const std::string& name);

// model.bin, and gpt2_tokenizer.bin of bytes, some pairs of them and <|endoftext|>. `padding`: what rows that nobody
// reads hold.
void write_llmc_gpt2(const std::string& directory, const Gpt2Spec& spec, DType dtype, float padding = 0);

struct Gpt2Snapshot {
    DType dtype = DType::kF32;
    std::string prefix;    // "transformer." in some
    bool buffers = false;  // the causal masks that old snapshots carry
    bool lm_head = false;  // a second copy of wte
    int shards = 1;
    float head_error = 0;  // added to the last number of lm_head.weight
};
void write_gpt2_snapshot(const std::string& directory, const Gpt2Spec& spec, const Gpt2Snapshot& form);

// The tokens of gpt2_tokenizer.bin but the last, by id. The 256 bytes come first, in the order of GPT-2's alphabet.
std::vector<std::string> gpt2_test_tokens(int vocab);
