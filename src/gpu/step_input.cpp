// step_input.cpp: arrays of ints and one of RowSampling, at the same offsets in pinned and in device memory.
#include "gpu/step_input.h"

#include <algorithm>

#include "gpu/step_sizes.h"

namespace {

static_assert(kMostRuledOut == kMaxRuledOut);

struct Arrays {
    int *id, *pos, *slot;
    QueryTile *tiles, *group_tiles;
    int* row_token;
    RowSampling* sampling;
    int64_t bytes;
};

Arrays lay_out(const StepShape& shape, char* base) {
    Layout layout(base);
    Arrays a;
    a.id = layout.take<int>(shape.n_tokens);
    a.pos = layout.take<int>(shape.n_tokens);
    a.slot = layout.take<int>(shape.n_tokens);
    a.tiles = layout.take<QueryTile>(shape.n_tiles);
    a.group_tiles = layout.take<QueryTile>(shape.n_group_tiles);
    a.row_token = layout.take<int>(shape.n_rows);
    a.sampling = layout.take<RowSampling>(shape.n_rows);
    a.bytes = layout.used();
    return a;
}

// What the device rules out. Where the host draws, the logits stay as they are.
int n_ruled_out(const Batch::Row& row) {
    return row.sampling.is_plain() ? row.sampling.n_ruled_out : 0;
}

}  // namespace

int64_t step_input_bytes(int max_tokens) {
    return lay_out({max_tokens, max_tokens, max_tokens, max_tokens, false, 0, 0, {}, {}}, nullptr).bytes;
}

StepView view_step_input(const StepShape& shape, char* device) {
    const Arrays arrays = lay_out(shape, device);
    StepView view;
    view.tokens = {shape.n_tokens, arrays.id, arrays.pos, arrays.slot, nullptr};
    view.tiles = arrays.tiles;
    view.n_tiles = shape.n_tiles;
    view.group_tiles = arrays.group_tiles;
    view.n_group_tiles = shape.n_group_tiles;
    view.row_token = arrays.row_token;
    view.sampling = arrays.sampling;
    view.n_rows = shape.n_rows;
    view.full_spans = shape.full_spans;
    view.ring_spans = shape.ring_spans;
    view.full_keys = shape.full_keys;
    view.ring_keys = shape.ring_keys;
    return view;
}

StepInput::StepInput(const CommonConfig& config, int max_tokens)
    : max_tokens_(max_tokens),
      tokens_per_tile_(std::max(1, 16 / (config.n_attn_heads / config.n_kv_heads))),
      tokens_per_group_tile_(group_tile_tokens(config.n_attn_heads, config.n_kv_heads, config.head_dim)),
      window_(config.sliding_window),
      pinned_(step_input_bytes(max_tokens)) {}

StepShape StepInput::shape_of(const Batch& batch, bool graphs) const {
    // A graph's logits can be taken after it, if they are still there and sampling has not changed them.
    const bool some_go = int(batch.rows.size()) > kLogitRowsAtOnce;
    const bool wants_logits = std::any_of(batch.rows.begin(), batch.rows.end(), [&](const Batch::Row& r) {
        return r.want_logits || (r.takes_logits() && (some_go || n_ruled_out(r) > 0));
    });
    StepShape shape;
    // Every sequence has one token and one row.
    shape.recorded =
        graphs && !wants_logits && batch.tokens.size() == batch.seqs.size() && batch.rows.size() == batch.seqs.size();
    if (shape.recorded) {
        shape.n_tokens = shape.n_tiles = shape.n_rows = std::min(decode_bucket(int(batch.tokens.size())), max_tokens_);
    } else {
        shape.n_tokens = int(batch.tokens.size());
        each_tile(batch, [&](const QueryTile&, bool group) { (group ? shape.n_group_tiles : shape.n_tiles)++; });
        shape.n_rows = int(batch.rows.size());
    }
    int last = 0;
    for (const Batch::Token& token : batch.tokens) last = std::max(last, token.pos);
    shape.full_spans = shape.recorded ? span_bucket(spans_of(last + 1)) : spans_of(last + 1);
    // Spans that a window and the tokens of one tile touch at most, wherever they begin.
    shape.ring_spans = std::min(shape.full_spans, (window_ + 16 - 3) / kSpanPositions + 2);
    count_keys(shape, batch);
    return shape;
}

// Calls visit(tile, whether it is for wave groups) for runs of tokens of one sequence, in order.
template <class F>
void StepInput::each_tile(const Batch& batch, F&& visit) const {
    const int n = int(batch.tokens.size());
    for (int first = 0, end; first < n; first = end) {
        end = first + 1;
        while (end < n && batch.tokens[size_t(end)].seq == batch.tokens[size_t(first)].seq) end++;
        const bool group = tokens_per_group_tile_ > 0 && end - first >= least_group_tokens();
        const int most = group ? tokens_per_group_tile_ : tokens_per_tile_;
        for (int t = first; t < end; t += most) visit({t, std::min(most, end - t)}, group);
    }
}

void StepInput::count_keys(StepShape& shape, const Batch& batch) const {
    int of_seq = 0;
    for (size_t t = 0; t < batch.tokens.size(); t++) {
        const Batch::Token& token = batch.tokens[t];
        const int keys = token.pos + 1;
        of_seq++;
        shape.full_keys.seen += keys;
        shape.ring_keys.seen += std::min(keys, window_);
        if (t + 1 < batch.tokens.size() && batch.tokens[t + 1].seq == token.seq) continue;
        shape.full_keys.read += keys;
        shape.ring_keys.read += std::min(keys, window_ - 1 + of_seq);
        of_seq = 0;
    }
}

void StepInput::send(const StepShape& shape, char* device, gpu::Stream stream) const {
    gpu::copy_to_device(device, pinned_.data(), lay_out(shape, nullptr).bytes, stream);
}

void StepInput::fill(const Batch& batch, const StepShape& shape, int first_place,
                     const std::vector<int>& place_of_slot) {
    const Arrays host = lay_out(shape, pinned_.data());
    for (int t = 0; t < shape.n_tokens; t++) {
        const bool real = t < int(batch.tokens.size());
        const Batch::Token token = real ? batch.tokens[size_t(t)] : Batch::Token{0, 0, 0};
        const int slot = real ? batch.seqs[size_t(token.seq)].slot : -1;
        host.id[t] = token.id == kOwnSample ? -1 - place_of_slot[size_t(slot)] : token.id;
        host.pos[t] = token.pos;
        host.slot[t] = slot;
    }
    int n_tiles = 0, n_group_tiles = 0;
    each_tile(batch, [&](const QueryTile& tile, bool group) {
        (group ? host.group_tiles[n_group_tiles++] : host.tiles[n_tiles++]) = tile;
    });
    for (int t = int(batch.tokens.size()); n_tiles < shape.n_tiles; t++) host.tiles[n_tiles++] = {t, 1};
    const Batch::Row padding{shape.n_tokens - 1, false, false, {}};
    for (int r = 0; r < shape.n_rows; r++) {
        const bool real = r < int(batch.rows.size());
        const Batch::Row& row = real ? batch.rows[size_t(r)] : padding;
        const Sampling& sampling = row.sampling;
        host.row_token[r] = row.token;
        host.sampling[r] = {sampling.is_plain() ? sampling.temperature : 0,
                            sampling.top_p,
                            sampling.seed,
                            uint64_t(host.pos[row.token]),
                            first_place + r,
                            n_ruled_out(row)};
        std::copy_n(sampling.ruled_out, n_ruled_out(row), host.sampling[r].ruled_out);
        host.sampling[r].top_k = sampling.top_k;
    }
}
