// hipgpt.cpp: HipGPT's checkpoint, known by its structure, as it has no magic number: four integers, the embeddings,
// then blocks that begin with their own sizes.
#include <cstring>

#include "base/file.h"
#include "error.h"
#include "model/config.h"
#include "model/gpt2.h"

void refuse_hipgpt(const std::string& path) {
    const MappedFile file(path);
    struct {
        int32_t vocab, positions, dim, n_layers;
    } h;
    struct {
        int32_t dim, n_heads, ffn;
    } block;
    if (file.size() < int64_t(sizeof h)) return;
    std::memcpy(&h, file.data(), sizeof h);
    const auto within = [](int64_t value, int64_t max) { return value >= 1 && value <= max; };
    if (!within(h.vocab, kMaxVocab) || !within(h.positions, kMaxContext) || !within(h.dim, kMaxDim) ||
        !within(h.n_layers, kMaxLayers))
        return;
    const int64_t dim = h.dim, tables = (int64_t(h.vocab) + h.positions) * dim;
    const int64_t first_block = int64_t(sizeof h) + 4 * tables;
    if (file.size() < first_block + int64_t(sizeof block)) return;
    std::memcpy(&block, file.data() + first_block, sizeof block);
    if (block.dim != h.dim || !within(block.n_heads, kMaxHeads) || !within(block.ffn, kMaxDim)) return;
    const int64_t ffn = block.ffn, of_block = 4 * dim * dim + 2 * dim * ffn + ffn + 9 * dim;
    const int64_t expected = first_block + h.n_layers * (int64_t(sizeof block) + 4 * of_block) + 4 * h.vocab * dim;
    if (file.size() != expected) return;
    fail(
        "{}: expected a checkpoint, found HipGPT's, which is of no use elsewhere: its training had no causal mask, so "
        "the model saw what it was to predict; train anew on the same text with llm.c or nanoGPT, and give that file",
        path);
}
