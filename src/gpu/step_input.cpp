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

Arrays lay_out(const StepSizes& sizes, char* base) {
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

int64_t step_input_bytes(int max_tokens) {
    return lay_out({max_tokens, max_tokens, max_tokens}, nullptr).bytes;
}

StepView view_step_input(const StepSizes& sizes, char* device) {
    const Arrays arrays = lay_out(sizes, device);
    StepView view;
    view.tokens = {sizes.n_tokens, arrays.id, arrays.pos, arrays.slot, nullptr};
    view.tiles = arrays.tiles;
    view.n_tiles = sizes.n_tiles;
    view.row_token = arrays.row_token;
    view.sampling = arrays.sampling;
    view.n_rows = sizes.n_rows;
    return view;
}

StepInput::StepInput(const Config& config, int max_tokens)
    : tokens_per_tile_(std::max(1, 16 / (config.n_attn_heads / config.n_kv_heads))),
      pinned_(step_input_bytes(max_tokens)) {}

StepSizes StepInput::sizes_of(const Batch& batch) const {
    int n_tiles = 0;
    each_tile(batch, tokens_per_tile_, [&](int, int) { n_tiles++; });
    return {int(batch.tokens.size()), n_tiles, int(batch.rows.size())};
}

void StepInput::send(const StepSizes& sizes, char* device, gpu::Stream stream) const {
    gpu::copy_to_device(device, pinned_.data(), lay_out(sizes, nullptr).bytes, stream);
}

void StepInput::fill(const Batch& batch, const StepSizes& sizes, int first_place,
                     const std::vector<int>& place_of_slot) {
    const Arrays host = lay_out(sizes, pinned_.data());
    for (int t = 0; t < sizes.n_tokens; t++) {
        const bool real = t < int(batch.tokens.size());
        const Batch::Token token = real ? batch.tokens[size_t(t)] : Batch::Token{0, 0, 0};
        const int slot = real ? batch.seqs[size_t(token.seq)].slot : -1;
        host.id[t] = token.id == kOwnSample ? -1 - place_of_slot[size_t(slot)] : token.id;
        host.pos[t] = token.pos;
        host.slot[t] = slot;
    }
    int n_tiles = 0;
    each_tile(batch, tokens_per_tile_, [&](int first, int n) { host.tiles[n_tiles++] = {first, n}; });
    for (int t = int(batch.tokens.size()); n_tiles < sizes.n_tiles; t++) host.tiles[n_tiles++] = {t, 1};
    for (int r = 0; r < sizes.n_rows; r++) {
        const bool real = r < int(batch.rows.size());
        const Batch::Row row = real ? batch.rows[size_t(r)] : Batch::Row{sizes.n_tokens - 1, false, false, {}};
        host.row_token[r] = row.token;
        host.sampling[r] = {row.sampling.temperature, row.sampling.top_p, row.sampling.seed,
                            uint64_t(host.pos[row.token]), first_place + r};
    }
}
