// step_input.cpp: arrays of ints and one of RowSampling, at the same offsets in pinned and in device memory.
#include "gpu/step_input.h"

#include <algorithm>

namespace {

struct Arrays {
    int *id, *pos, *slot;
    QueryTile* tiles;
    int* row_token;
    RowSampling* sampling;
    int64_t bytes;
};

Arrays lay_out(const StepInput::Sizes& sizes, char* base) {
    Layout layout(base);
    Arrays a;
    a.id = layout.take<int>(sizes.n_tokens);
    a.pos = layout.take<int>(sizes.n_tokens);
    a.slot = layout.take<int>(sizes.n_tokens);
    a.tiles = layout.take<QueryTile>(sizes.n_tiles);
    a.row_token = layout.take<int>(sizes.n_rows);
    a.sampling = layout.take<RowSampling>(sizes.n_rows);
    a.bytes = layout.used();
    return a;
}

int64_t most_bytes(int max_tokens) {
    return lay_out({max_tokens, max_tokens, max_tokens}, nullptr).bytes;
}

// Calls visit(first token, tokens) for each run of at most `most` tokens of one sequence.
template <class F>
void each_tile(const Batch& batch, int most, F&& visit) {
    const int n = int(batch.tokens.size());
    for (int first = 0; first < n;) {
        int end = first + 1;
        while (end < n && end - first < most && batch.tokens[size_t(end)].seq == batch.tokens[size_t(first)].seq) end++;
        visit(first, end - first);
        first = end;
    }
}

}  // namespace

StepInput::StepInput(const Config& config, int max_tokens)
    : tokens_per_tile_(std::max(1, 16 / (config.n_attn_heads / config.n_kv_heads))),
      pinned_(most_bytes(max_tokens)),
      device_(most_bytes(max_tokens), "step's input") {}

StepInput::Sizes StepInput::sizes_of(const Batch& batch) const {
    int n_tiles = 0;
    each_tile(batch, tokens_per_tile_, [&](int, int) { n_tiles++; });
    return {int(batch.tokens.size()), n_tiles, int(batch.rows.size())};
}

void StepInput::send(const Sizes& sizes, gpu::Stream stream) {
    gpu::copy_to_device(device_.data(), pinned_.data(), lay_out(sizes, nullptr).bytes, stream);
}

StepView StepInput::fill(const Batch& batch, const Sizes& sizes, int* sampled) {
    const Arrays host = lay_out(sizes, pinned_.data()), device = lay_out(sizes, device_.data());
    for (int t = 0; t < sizes.n_tokens; t++) {
        const bool real = t < int(batch.tokens.size());
        const Batch::Token token = real ? batch.tokens[size_t(t)] : Batch::Token{0, 0, 0};
        host.id[t] = token.id;
        host.pos[t] = token.pos;
        host.slot[t] = real ? batch.seqs[size_t(token.seq)].slot : -1;
    }
    int n_tiles = 0;
    each_tile(batch, tokens_per_tile_, [&](int first, int n) { host.tiles[n_tiles++] = {first, n}; });
    for (int t = int(batch.tokens.size()); n_tiles < sizes.n_tiles; t++) host.tiles[n_tiles++] = {t, 1};
    for (int r = 0; r < sizes.n_rows; r++) {
        const bool real = r < int(batch.rows.size());
        const Batch::Row row = real ? batch.rows[size_t(r)] : Batch::Row{sizes.n_tokens - 1, false, false, {}};
        host.row_token[r] = row.token;
        host.sampling[r] = {row.sampling.temperature, row.sampling.top_p, row.sampling.seed,
                            uint64_t(host.pos[row.token])};
    }

    StepView view;
    view.tokens = {sizes.n_tokens, device.id, device.pos, device.slot};
    view.tiles = device.tiles;
    view.n_tiles = sizes.n_tiles;
    view.row_token = device.row_token;
    view.sampling = device.sampling;
    view.n_rows = sizes.n_rows;
    view.sampled = sampled;
    return view;
}
