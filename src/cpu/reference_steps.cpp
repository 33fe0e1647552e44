// reference_steps.cpp: runs batches on a reference token by token, each with the cache of its own sequence.
#include "cpu/reference.h"
#include "sampler.h"

Reference::Reference(const CommonConfig& config, int max_sequences, int64_t max_positions)
    : common_(config), sequences_(size_t(max_sequences)) {
    // Its caches simply grow; it has pages only because the scheduler counts in pages.
    constexpr int kChunk = 1;  // longer steps would not be faster, and could be stopped less often
    capacity_.max_sequences = max_sequences;
    capacity_.prefill_chunk = kChunk;
    capacity_.max_batch_tokens = max_sequences + kChunk;
    capacity_.n_pages = 2 * pages_for(max_positions) * max_sequences;
    capacity_.max_prefill_tokens_beside_decode = kChunk;
    capacity_.keeps_pages = false;
}

std::vector<float> Reference::linear(const Matrix& w, const std::vector<float>& x, const Vector& b,
                                     int64_t first_bias) {
    std::vector<float> y(size_t(w.n_out));
#pragma omp parallel
    {
        std::vector<float> row(x.size());
#pragma omp for
        for (int64_t o = 0; o < w.n_out; o++) {
            w.row(o, row.data());
            float sum = 0;
            for (size_t i = 0; i < x.size(); i++) sum += row[i] * x[i];
            y[size_t(o)] = sum + b[first_bias + o];
        }
    }
    return y;
}

void Reference::collect(StepResult& result) {
    const Batch& batch = *batch_;
    begin_result(result, batch);
    size_t row = 0;  // the next one: rows are in the order of their tokens
    for (size_t t = 0; t < batch.tokens.size(); t++) {
        if (batch.unwanted && batch.unwanted()) return;
        const Batch::Token& token = batch.tokens[t];
        Sequence& sequence = sequences_[size_t(batch.seqs[size_t(token.seq)].slot)];
        if (token.pos == 0) sequence.assign(size_t(common_.n_layers), {});
        const std::vector<float> logits = forward(sequence, token.id, token.pos);
        for (; row < batch.rows.size() && batch.rows[row].token == int(t); row++) {
            const Batch::Row& r = batch.rows[row];
            if (r.want_logits) batch.on_logits(int(row), logits.data());
            if (!r.sample) continue;
            draw_row(result, batch, int(row), logits.data(), common_.vocab_size);
            tell_row(result, batch, int(row), logits.data(), common_.vocab_size);
        }
    }
}
