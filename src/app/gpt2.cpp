// gpt2.cpp: what GPT-2 changes about a run.
#include "error.h"
#include "log.h"
#include "options.h"
#include "tokenizer.h"

namespace {

constexpr const char* kEndOfText = "<|endoftext|>";

// llm.c's model file does not say which token ends a text; its tokenizer does. A run without a tokenizer has ids in and
// out, and needs no such token.
std::vector<int> stop_ids(const Options& options, const Model& model) {
    try {
        const std::optional<int> id = Tokenizer::for_model(model, options.tokenizer).special(kEndOfText);
        return id ? std::vector<int>{*id} : std::vector<int>();
    } catch (const Error& e) {
        if (!options.tokenizer.empty()) throw;
        log_line("{}; until there is one, no token ends a text", e.what());
        return {};
    }
}

}  // namespace

void adapt_to_gpt2(const Options& options, Model& model) {
    if (options.mode == "chat")
        fail("--mode chat: GPT-2 has no chat format, it continues text: generate, getp and score take it");
    if (!options.instructions.empty())
        fail("--instructions: for models with a chat format, which GPT-2 has not: put them into the prompt");
    if (options.chat_template) fail("--chat: for models with a chat format, which GPT-2 has not");
    if (model.gpt2().config.stop_ids.empty()) model.gpt2().config.stop_ids = stop_ids(options, model);
}
