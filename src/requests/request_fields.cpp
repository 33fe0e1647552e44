// request_fields.cpp: the tables. Names are those of OpenAI's API, and of vLLM, SGLang, TGI, llama.cpp's server,
// Ollama, OpenRouter and LiteLLM, whose clients send them to anybody.
#include "requests/request_fields.h"

#include <algorithm>

#include "error.h"

namespace {

constexpr size_t kMaxUnknown = 20;

constexpr char kAny[] = "any";    // all values: another file reads the field, or it has no effect on an answer
constexpr char kNone[] = "none";  // no value but null, which counts as absent
struct Field {
    const char* key;
    const char* accepted;       // kAny, kNone, or the values that ask for nothing, as a JSON array
    bool is_tolerated = false;  // with other values it is an unknown field, not an error
};
using Table = std::vector<Field>;

// Fields that request_body.cpp and conversation.cpp obey.
const Table kDone = {
    {"model", kAny},
    {"max_tokens", kAny},
    {"max_completion_tokens", kAny},
    {"max_output_tokens", kAny},
    {"max_new_tokens", kAny},
    {"n_predict", kAny},
    {"temperature", kAny},
    {"top_p", kAny},
    {"top_k", kAny},
    {"repetition_penalty", kAny},
    {"seed", kAny},
    {"stop", kAny},
    {"stop_token_ids", kAny},
    {"include_stop_str_in_output", kAny},
    {"ignore_eos", kAny},
    {"min_tokens", kAny},
    {"min_new_tokens", kAny},
    {"return_token_ids", kAny},
    {"stream", kAny},
    {"stream_options", kAny},
    {"n", kAny},
    {"best_of", kAny},
    {"logprobs", kAny},
    {"logit_bias", kAny},
    {"min_p", kAny},
    {"presence_penalty", kAny},
    {"frequency_penalty", kAny},
};
const Table kDoneInChats = {
    {"messages", kAny},          {"tools", kAny},           {"parallel_tool_calls", kAny},
    {"reasoning_effort", kAny},  {"reasoning", kAny},       {"chat_template_kwargs", kAny},
    {"thinking", kAny},          {"enable_thinking", kAny}, {"think", kAny},
    {"include_reasoning", kAny}, {"top_logprobs", kAny},    {"reasoning_logprobs", kAny},
    {"tool_choice", kAny},
};
// In requests of the Responses API.
const Table kDoneInResponses = {
    {"n", "[1]"},
    {"best_of", "[1]"},
    {"logprobs", "[false]"},
    {"top_logprobs", "[0]"},
    {"reasoning_logprobs", "[false]"},
    {"input", kAny},
    {"instructions", kAny},
    {"include", kAny},
    {"previous_response_id", kAny},
    {"text", kAny},
    {"messages", kNone},
    {"prompt", kNone},
    {"max_tool_calls", kAny},   // of tools that the server runs
    {"client_metadata", kAny},  // Codex's
};
const Table kText = {{"format", kAny}, {"verbosity", kAny}};
const Table kTextFormat = {
    {"type", R"(["text"])"}, {"name", kAny}, {"description", kAny}, {"schema", kAny}, {"strict", kAny},
};
const Table kDoneInCompletions = {{"prompt", kAny}, {"echo", kAny}, {"special_tokens", kAny}};

// Fields without effect on the text of an answer: names and bookkeeping, caches, streams, and details of fields that
// are refused below.
const Table kHarmless = {
    {"user", kAny},
    {"metadata", kAny},
    {"store", kAny},
    {"service_tier", kAny},
    {"safety_identifier", kAny},
    {"prompt_cache_key", kAny},
    {"prompt_cache_retention", kAny},
    {"prediction", kAny},  // where it is supported, it makes an answer faster
    {"request_id", kAny},
    {"session_id", kAny},
    {"rid", kAny},
    {"extra_key", kAny},
    {"cache_salt", kAny},
    {"cache_prompt", kAny},
    {"id_slot", kAny},
    {"keep_alive", kAny},
    {"priority", kAny},
    {"timeout", kAny},
    {"num_retries", kAny},
    {"drop_params", kAny},
    {"provider", kAny},
    {"route", kAny},
    {"models", kAny},
    {"usage", kAny},
    {"add_special_tokens", kAny},             // the models have none to add
    {"spaces_between_special_tokens", kAny},  // special tokens are not shown
    {"return_tokens_as_token_ids", kAny},     // in log-probabilities
    {"stream_reasoning", kAny},
    {"stream_tokens", kAny},
    {"return_progress", kAny},
    {"timings_per_token", kAny},
    {"verbose", kAny},
    {"n_keep", kAny},           // a detail of contexts that shift
    {"length_penalty", kAny},   // a detail of beam search
    {"early_stopping", kAny},   // likewise
    {"truncation_side", kAny},  // a detail of truncate_prompt_tokens
    {"mirostat_tau", kAny},
    {"mirostat_eta", kAny},
    {"dynatemp_exponent", kAny},
    {"xtc_threshold", kAny},
    {"dry_base", kAny},
    {"dry_allowed_length", kAny},
    {"dry_penalty_last_n", kAny},
    {"dry_sequence_breakers", kAny},
    {"repeat_last_n", kAny},
    {"guided_decoding_backend", kAny},
    {"mm_processor_kwargs", kAny},
    {"media_io_kwargs", kAny},
};

// Fields that this program does not support, each with the values that ask for nothing.
const Table kRefused = {
    // more answers, or other things in them
    {"n_cmpl", "[1]"},
    {"num_return_sequences", "[1]"},
    {"candidate_count", "[1]"},
    {"num_beams", "[1]"},
    {"use_beam_search", "[false]"},
    {"background", "[false]"},
    {"echo", "[false]"},
    {"return_full_text", "[false]"},
    {"top_logprobs", "[0]"},
    {"prompt_logprobs", "[0]"},
    {"logprob_token_ids", "[[]]"},
    {"n_probs", "[0]"},
    {"top_n_tokens", "[0]"},
    {"post_sampling_probs", "[false]"},
    {"details", "[false]"},
    {"decoder_input_details", "[false]"},
    {"return_hidden_states", "[false]"},
    {"return_prompt_text", "[false]"},
    {"return_tokens", "[false]"},
    {"response_fields", "[[]]"},
    {"skip_special_tokens", "[true]"},
    {"no_stop_trim", "[false]"},
    {"separate_reasoning", "[true]"},
    {"reasoning_format", R"(["auto","deepseek"])"},
    {"parse_tool_calls", "[true]"},
    {"verbosity", R"(["medium"])"},
    {"modalities", R"([["text"]])"},
    {"audio", kNone},
    {"web_search_options", kNone},
    {"data_sources", "[[]]"},
    {"plugins", "[[]]"},
    {"transforms", "[[]]"},
    {"preset", kNone},
    // another prompt
    {"input", kNone},
    {"inputs", kNone},
    {"input_ids", kNone},
    {"text", kNone},
    {"instructions", kNone},
    {"system", R"([""])"},
    {"context", "[[]]"},
    {"images", "[[]]"},
    {"documents", "[[]]"},
    {"suffix", R"([""])"},
    {"template", R"([""])"},
    {"chat_template", kNone},
    {"raw", "[false]"},
    {"add_generation_prompt", "[true]"},
    {"continue_final_message", "[false]"},
    {"truncate_prompt_tokens", kNone},
    {"truncate", kNone},
    {"truncation", R"(["disabled"])"},
    {"safe_prompt", "[false]"},
    {"prompt_mode", kNone},
    {"tool_prompt", kNone},
    {"guideline", kNone},
    {"previous_response_id", kNone},
    {"conversation", kNone},
    // tools
    {"functions", "[[]]"},
    {"function_call", R"(["auto","none"])"},
    // structure
    {"response_format", R"([{"type":"text"}])"},
    {"format", R"([""])"},
    {"structured_outputs", "[{}]"},
    {"guided_json", kNone},
    {"guided_regex", kNone},
    {"guided_choice", kNone},
    {"guided_grammar", kNone},
    {"guided_json_object", "[false]"},
    {"guided_whitespace_pattern", kNone},
    {"structural_tag", kNone},
    {"json_schema", kNone},
    {"regex", kNone},
    {"ebnf", kNone},
    {"grammar", R"([""])"},
    {"grammar_lazy", "[false]"},
    {"grammar_triggers", "[[]]"},
    // which token is drawn
    {"repeat_penalty", "[1]"},
    {"no_repeat_ngram_size", "[0]"},
    {"repetition_detection", kNone},
    {"typical_p", "[1]"},
    {"typical", "[1]"},
    {"top_a", "[0]"},
    {"tfs", "[1]"},
    {"tfs_z", "[1]"},
    {"epsilon_cutoff", "[0]"},
    {"eta_cutoff", "[0]"},
    {"top_n_sigma", "[-1,0]"},
    {"mirostat", "[0]"},
    {"mirostat_mode", "[0]"},
    {"dynatemp_range", "[0]"},
    {"xtc_probability", "[0]"},
    {"dry_multiplier", "[0]"},
    {"smoothing_factor", "[0]"},
    {"samplers", kNone},
    {"min_keep", "[0]"},
    {"do_sample", "[true]"},
    {"bad_words", "[[]]"},
    {"bad_words_ids", "[[]]"},
    {"allowed_token_ids", kNone},
    {"banned_tokens", "[[]]"},
    {"custom_logit_processor", kNone},
    {"custom_params", kNone},
    {"logits_processors", "[[]]"},
    {"vllm_xargs", "[{}]"},
    {"watermark", "[false]"},
    {"watermarking", "[false]"},
    {"random_seed", kNone},
    // where an answer ends
    {"min_length", "[0]"},
    {"max_length", kNone},
    {"num_predict", kNone},
    {"max_tokens_to_sample", kNone},
    {"stop_sequences", "[[]]"},
    {"stop_regex", "[[],\"\"]"},
    {"n_indent", "[0]"},
    {"t_max_predict_ms", "[-1,0]"},
    {"max_time", kNone},
    {"thinking_budget", kNone},
    {"thinking_token_budget", kNone},
    {"reasoning_budget", "[-1]"},
    {"thinking_forced_open", "[false]"},
    // fields that hold others
    {"options", "[{}]"},
    {"parameters", "[{}]"},
    {"extra_body", "[{}]"},
    {"session_params", "[{}]"},
    {"kv_transfer_params", "[{}]"},
    {"lora", "[[]]"},
    {"lora_path", kNone},
    {"lora_request", kNone},
    {"adapter_id", kNone},
};

const Table kLine = {{"custom_id", kAny}, {"method", kAny}, {"url", kAny}, {"body", kAny}};

const Table kMessage = {
    {"role", kAny},        {"content", kAny},           {"name", kAny},
    {"reasoning", kAny},   {"reasoning_content", kAny}, {"reasoning_details", kAny},
    {"thinking", kAny},    {"tool_calls", kAny},        {"tool_call_id", kAny},
    {"id", kAny},          {"type", R"(["message"])"},  {"status", kAny},
    {"weight", kAny},      {"annotations", kAny},       {"refusal", kAny},
    {"audio", kNone},      {"images", "[[]]"},          {"function_call", kAny},
    {"prefix", "[false]"}, {"partial", "[false]"},
};
const Table kPart = {{"type", kAny},        {"text", kAny},     {"refusal", kAny},
                     {"annotations", kAny}, {"logprobs", kAny}, {"cache_control", kAny}};
// Libraries make tools strict without being asked. This program does not constrain arguments, but refusing all those
// requests would help nobody.
const Field kStrict = {"strict", "[false]", /*is_tolerated=*/true};
const Table kTool = {{"type", kAny}, {"function", kAny}, {"cache_control", kAny}, kStrict};
const Table kToolFunction = {{"name", kAny}, {"description", kAny}, {"parameters", kAny}, kStrict};
const Table kCall = {{"id", kAny}, {"type", kAny}, {"function", kAny}, {"index", kAny}};
const Table kCallFunction = {{"name", kAny}, {"arguments", kAny}};
const Table kReasoning = {
    {"effort", kAny},  {"enabled", kAny},          {"exclude", kAny},
    {"summary", kAny}, {"generate_summary", kAny}, {"max_tokens", kNone},
};
const Table kThinking = {{"type", kAny}, {"budget_tokens", kNone}};
const Table kTemplateKwargs = {
    {"reasoning_effort", kAny},          {"enable_thinking", kAny}, {"thinking", kAny},
    {"add_generation_prompt", "[true]"}, {"model_identity", kNone}, {"builtin_tools", "[[]]"},
};

// Compares numbers by value and other values as they are written, without the space between them. No accepted value has
// space inside a string.
bool same(const Json& a, const Json& b) {
    if (a.is_number() && b.is_number()) return a.number() == b.number();
    std::string text(a.text());
    text.erase(std::remove_if(text.begin(), text.end(), [](char c) { return c == ' ' || c == '\t'; }), text.end());
    return text == b.text();
}

bool is_accepted(const Field& field, const Json& value) {
    if (field.accepted == kAny || value.is_null()) return true;
    if (field.accepted == kNone) return false;
    for (const Json& candidate : parse_json(field.accepted, field.key))
        if (same(value, candidate)) return true;
    return false;
}

[[noreturn]] void refuse(const std::string& path, const Field& field, const Json& value) {
    if (field.accepted == kNone) fail("{}: expected none, as it is not supported, found {}", path, shown(value));
    std::string expected;
    for (const Json& candidate : parse_json(field.accepted, field.key))
        expected += (expected.empty() ? "" : " or ") + std::string(candidate.text());
    wrong(path, expected + ", all that is supported", value);
}

class FieldChecker {
  public:
    // `pattern` is the path of the object without indices, for unknown fields.
    void check(const JsonFields& object, const std::string& pattern, const std::vector<const Table*>& tables) {
        for (const JsonFields::Member& member : object.members()) {
            const Field* known = nullptr;
            for (const Table* table : tables)
                for (const Field& field : *table)
                    if (member.key == field.key) known = &field;
            if (known ? is_accepted(*known, member.value) : member.value.is_null()) continue;
            if (known && !known->is_tolerated) refuse(object.path(member.key), *known, member.value);
            add_unknown(joined(pattern, member.key));
        }
    }

    void check_object(const JsonFields& parent, const std::string& pattern, const char* key, const Table& table) {
        const Json* object = parent.find(key);
        if (object && object->is_object()) check({*object, parent.path(key)}, joined(pattern, key), {&table});
    }

    // Calls then() for each object of a list. The code that reads the field complains if it is no list of objects.
    template <class Then>
    void check_list(const JsonFields& parent, const std::string& pattern, const char* key, const Table& table,
                    const Then& then) {
        const Json* list = parent.find(key);
        if (!list || !list->is_array()) return;
        int i = 0;
        for (const Json& item : *list) {
            const std::string where = fmt::format("{}[{}]", parent.path(key), i++);
            if (!item.is_object()) continue;
            const JsonFields object(item, where);
            const std::string item_pattern = joined(pattern, key) + "[]";
            check(object, item_pattern, {&table});
            then(object, item_pattern);
        }
    }

    std::vector<std::string> take_unknown() { return std::move(unknown_); }

  private:
    static std::string joined(const std::string& pattern, const std::string& key) {
        return pattern.empty() ? key : pattern + "." + key;
    }
    void add_unknown(const std::string& path) {
        if (unknown_.size() < kMaxUnknown && std::find(unknown_.begin(), unknown_.end(), path) == unknown_.end())
            unknown_.push_back(path);
    }
    std::vector<std::string> unknown_;
};

void check_chat(FieldChecker& checker, const JsonFields& body, const std::string& pattern) {
    const auto nothing = [](const JsonFields&, const std::string&) {};
    checker.check_list(body, pattern, "messages", kMessage, [&](const JsonFields& message, const std::string& inner) {
        checker.check_list(message, inner, "content", kPart, nothing);
        checker.check_list(message, inner, "tool_calls", kCall, [&](const JsonFields& call, const std::string& deep) {
            checker.check_object(call, deep, "function", kCallFunction);
        });
        checker.check_object(message, inner, "function_call", kCallFunction);
    });
    checker.check_list(body, pattern, "tools", kTool, [&](const JsonFields& tool, const std::string& inner) {
        checker.check_object(tool, inner, "function", kToolFunction);
    });
}

void check_response(FieldChecker& checker, const JsonFields& body, const std::string& pattern) {
    checker.check_object(body, pattern, "text", kText);
    if (body.has("text"))
        checker.check_object(body.object("text"), pattern.empty() ? "text" : pattern + ".text", "format", kTextFormat);
}

void check_reasoning(FieldChecker& checker, const JsonFields& body, const std::string& pattern) {
    checker.check_object(body, pattern, "reasoning", kReasoning);
    checker.check_object(body, pattern, "thinking", kThinking);
    checker.check_object(body, pattern, "chat_template_kwargs", kTemplateKwargs);
}

}  // namespace

std::vector<std::string> check_body_fields(const JsonFields& body, AnswerKind kind) {
    FieldChecker checker;
    const std::string where = body.path("x") == "x" ? "" : "body";
    // What a later table says goes before what an earlier one does.
    std::vector<const Table*> tables = {&kHarmless, &kRefused, &kDone,
                                        kind == AnswerKind::kCompletion ? &kDoneInCompletions : &kDoneInChats};
    if (kind == AnswerKind::kResponse) tables.push_back(&kDoneInResponses);
    if (where.empty()) tables.push_back(&kLine);
    checker.check(body, where, tables);
    if (kind != AnswerKind::kCompletion) check_reasoning(checker, body, where);
    if (kind == AnswerKind::kChat) check_chat(checker, body, where);
    if (kind == AnswerKind::kResponse) check_response(checker, body, where);
    return checker.take_unknown();
}

std::vector<std::string> unknown_line_fields(const JsonFields& line) {
    FieldChecker checker;
    checker.check(line, "", {&kLine});
    return checker.take_unknown();
}
