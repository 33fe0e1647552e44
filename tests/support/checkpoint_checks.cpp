// checkpoint_checks.cpp: files to damage, comparison of models.
#include "support/checkpoint_checks.h"

#include <fstream>

#include "base/file.h"
#include "support/json.h"

void write_bytes(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

void edit_json(const std::string& path, const std::function<void(nlohmann::json&)>& edit) {
    nlohmann::json json = json_of(read_file(path));
    edit(json);
    write_bytes(path, json.dump());
}

std::string open_error(const std::string& path, const OpenOptions& options) {
    return error_of([&] { open_model(path, options); });
}

void expect_same_config(const Config& a, const Config& b) {
    EXPECT_EQ(a.vocab_size, b.vocab_size);
    EXPECT_EQ(a.hidden_dim, b.hidden_dim);
    EXPECT_EQ(a.intermediate_dim, b.intermediate_dim);
    EXPECT_EQ(a.n_layers, b.n_layers);
    EXPECT_EQ(a.n_attn_heads, b.n_attn_heads);
    EXPECT_EQ(a.n_kv_heads, b.n_kv_heads);
    EXPECT_EQ(a.head_dim, b.head_dim);
    EXPECT_EQ(a.n_experts, b.n_experts);
    EXPECT_EQ(a.experts_per_token, b.experts_per_token);
    EXPECT_EQ(a.sliding_window, b.sliding_window);
    EXPECT_EQ(a.layer_kind, b.layer_kind);
    EXPECT_EQ(a.max_context, b.max_context);
    EXPECT_EQ(a.norm_eps, b.norm_eps);
    EXPECT_EQ(a.swiglu_limit, b.swiglu_limit);
    EXPECT_EQ(a.swiglu_alpha, b.swiglu_alpha);
    EXPECT_EQ(a.rope_theta, b.rope_theta);
    EXPECT_EQ(a.rope_factor, b.rope_factor);
    EXPECT_EQ(a.rope_beta_fast, b.rope_beta_fast);
    EXPECT_EQ(a.rope_beta_slow, b.rope_beta_slow);
    EXPECT_EQ(a.rope_truncate, b.rope_truncate);
    EXPECT_EQ(a.rope_original_context, b.rope_original_context);
    EXPECT_EQ(a.rope_attention_factor, b.rope_attention_factor);
    EXPECT_EQ(a.stop_ids, b.stop_ids);
}

void expect_same_weights(const Model& a, const Model& b) {
    const auto vectors = [](const Vector& x, const Vector& y) {
        ASSERT_EQ(x.n, y.n);
        for (int64_t i = 0; i < x.n; i++) ASSERT_EQ(x[i], y[i]) << i;
    };
    const auto matrices = [](const Matrix& x, const Matrix& y) {
        ASSERT_EQ(x.n_out, y.n_out);
        ASSERT_EQ(x.n_in, y.n_in);
        for (int64_t o = 0; o < x.n_out; o++)
            for (int64_t i = 0; i < x.n_in; i++) ASSERT_EQ(x.at(o, i), y.at(o, i)) << o << " " << i;
    };
    const Weights &aw = a.gpt_oss().weights, &bw = b.gpt_oss().weights;
    matrices(aw.embed, bw.embed);
    matrices(aw.unembed, bw.unembed);
    vectors(aw.g_final, bw.g_final);
    ASSERT_EQ(aw.layers.size(), bw.layers.size());
    for (size_t l = 0; l < aw.layers.size(); l++) {
        const LayerWeights &x = aw.layers[l], &y = bw.layers[l];
        for (Vector LayerWeights::*v :
             {&LayerWeights::g_attn, &LayerWeights::g_mlp, &LayerWeights::b_q, &LayerWeights::b_k, &LayerWeights::b_v,
              &LayerWeights::b_o, &LayerWeights::sinks, &LayerWeights::b_router, &LayerWeights::b_up,
              &LayerWeights::b_down})
            vectors(x.*v, y.*v);
        for (Matrix LayerWeights::*m :
             {&LayerWeights::w_q, &LayerWeights::w_k, &LayerWeights::w_v, &LayerWeights::w_o, &LayerWeights::w_router})
            matrices(x.*m, y.*m);
        for (ExpertMatrices LayerWeights::*e : {&LayerWeights::w_up, &LayerWeights::w_down})
            for (int i = 0; i < (x.*e).n_experts; i++) matrices((x.*e)[i], (y.*e)[i]);
    }
}

void export_to(const Model& model, const std::string& path, ExportKind kind) {
    ExportOptions options;
    options.kind = kind;
    export_model(model, path, options);
}
