// text_codec.cpp: the tokenizer of a run, if it has one.
#include "error.h"
#include "request.h"

TextCodec::TextCodec(const Model& model, const std::string& path) {
    try {
        tokenizer_.emplace(Tokenizer::for_model(model, path));
    } catch (const Error& e) {
        if (!path.empty()) throw;
        no_tokenizer_ = no_renderer_ = e.what();
        return;
    }
    make_renderer();
}

TextCodec::TextCodec(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {
    make_renderer();
}

void TextCodec::make_renderer() {
    try {
        renderer_.emplace(*tokenizer_);
    } catch (const Error& e) {
        no_renderer_ = e.what();
    }
}

const Tokenizer& TextCodec::tokenizer() const {
    if (!tokenizer_) fail("text needs a tokenizer: {}", no_tokenizer_);
    return *tokenizer_;
}

const HarmonyRenderer& TextCodec::renderer() const {
    if (!renderer_) fail("chat needs a tokenizer for harmony: {}", no_renderer_);
    return *renderer_;
}
