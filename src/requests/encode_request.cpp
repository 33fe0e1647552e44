// encode_request.cpp: texts to ids, defaults for what a request does not say, and limits.
#include "requests/encode_request.h"

#include <algorithm>

#include "base/random.h"
#include "base/utf8.h"
#include "requests/responses_request.h"

namespace {

// The API's default.
constexpr double kApiTemperature = 1, kApiTopP = 1;

// The bytes of text that reach the prompt: reasoning of earlier turns does not.
size_t text_bytes(const std::vector<Message>& messages) {
    size_t n = 0;
    for (const Message& message : messages)
        if (message.channel != "analysis") n += message.content.size();
    return n;
}

// All but the seed.
Sampling sampling_of(const RequestBody& wanted, const RequestDefaults& defaults) {
    Sampling sampling;
    sampling.temperature = float(wanted.temperature.value_or(defaults.temperature.value_or(kApiTemperature)));
    sampling.top_p = float(wanted.top_p.value_or(defaults.top_p.value_or(kApiTopP)));
    sampling.top_k = wanted.top_k.value_or(defaults.top_k.value_or(0));
    sampling.repetition_penalty =
        float(wanted.repetition_penalty.value_or(double(defaults.repetition_penalty.value_or(1))));
    sampling.min_p = float(wanted.min_p);
    sampling.presence_penalty = float(wanted.presence_penalty);
    sampling.frequency_penalty = float(wanted.frequency_penalty);
    sampling.n_logprobs = wanted.n_logprobs;
    if (!wanted.logit_bias.empty()) sampling.bias = std::make_shared<const std::vector<TokenBias>>(wanted.logit_bias);
    return sampling;
}

// The sampler can rule out few ids. `field` wants it to.
void bound_stop_ids(Request& request, const char* field) {
    std::vector<int>& ids = request.stop_ids;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    if (ids.size() > kMaxRuledOut)
        fail("{}: expected at most {} ids that end the answer, found {}", field, kMaxRuledOut, ids.size());
}

// Needs the request's stop ids and its room for an answer.
void set_least(Request& request, int min_tokens, Purpose purpose) {
    if (min_tokens == 0 || purpose == Purpose::kScore) return;
    if (min_tokens > request.max_new_tokens)
        fail("min_tokens: expected at most {}, which is all that the answer may have, found {}", request.max_new_tokens,
             min_tokens);
    bound_stop_ids(request, "min_tokens");
    request.min_new_tokens = min_tokens;
}

void check_no_unknown(const std::vector<std::string>& fields) {
    if (!fields.empty()) fail("{}: expected a field that is known, found this (--strict-fields)", fields[0]);
}

std::vector<int> encode_text(TextOrIds& prompt, bool special_tokens, const std::string& path,
                             const RequestContext& context) {
    const CommonConfig& config = context.config;
    if (auto* ids = std::get_if<std::vector<int>>(&prompt)) {
        if (ids->empty()) fail("the prompt is empty");
        for (size_t i = 0; i < ids->size(); i++)
            if ((*ids)[i] >= config.vocab_size)
                fail("{}[{}]: expected a token id below {}, found {}", path, i, config.vocab_size, (*ids)[i]);
        return std::move(*ids);
    }
    const auto& text = std::get<std::string>(prompt);
    const Tokenizer& tokenizer = context.codec.tokenizer();
    check_prompt_text(text);
    check_fits(text.size(), tokenizer, config.max_context);
    return special_tokens ? tokenizer.encode_with_special(text) : tokenizer.encode(text);
}

void encode_completion(Request& request, RequestBody& wanted, std::optional<int> max_tokens,
                       const RequestContext& context) {
    const std::optional<int> steps = context.defaults.steps;
    const bool special_tokens = wanted.special_tokens.value_or(context.defaults.special_tokens);
    request.echo = wanted.echo;
    TextOrIds first;
    if (auto* ids = std::get_if<std::vector<int>>(&wanted.prompt))
        first = std::move(*ids);
    else
        first = std::move(std::get<std::string>(wanted.prompt));
    request.prompt = encode_text(first, special_tokens, "prompt", context);
    request.max_new_tokens = most_new_tokens(context, request.prompt.size(), max_tokens, steps);
    for (TextOrIds& prompt : wanted.more_prompts) {
        const std::string path = fmt::format("prompt[{}]", request.more_prompts.size() + 1);
        std::vector<int> ids = encode_text(prompt, special_tokens, path, context);
        const int most = most_new_tokens(context, ids.size(), max_tokens, steps);
        request.more_prompts.push_back({std::move(ids), most});
    }
    if (wanted.echo) context.codec.tokenizer();  // throws if there is none
}

// Which tools the answer's headers may name, and must.
void rule_headers(Request& request, const Conversation& conversation, bool strict) {
    if (!strict && !conversation.must_call) return;
    request.headers.emplace();
    request.headers->must_call = conversation.must_call;
    request.headers->may_reason = !conversation.skips_reasoning;
    for (const std::string& name : request.tool_names)
        if (conversation.must_call_tool.empty() || conversation.must_call_tool == name)
            request.headers->tools.push_back(name);
}

void encode_chat(Request& request, const RequestBody& wanted, const RequestContext& context) {
    const RequestDefaults& defaults = context.defaults;
    const TextCodec& codec = context.codec;
    const auto& conversation = std::get<Conversation>(wanted.prompt);
    Preamble preamble;
    preamble.effort = conversation.effort.value_or(defaults.effort);
    preamble.instructions = conversation.instructions.value_or(defaults.instructions);
    preamble.tools = conversation.tools;
    if (codec.has_tokenizer())
        check_fits(text_bytes(conversation.messages), codec.tokenizer(), context.config.max_context);
    request.prompt = codec.renderer().render_prompt(preamble, conversation.messages);
    // Without reasoning, the answer's final message is open already, unless there may be calls.
    if (conversation.skips_reasoning && conversation.tools.empty()) request.opening = codec.renderer().final_header();
    request.prompt = both(request.prompt, request.opening);
    for (const FunctionTool& tool : conversation.tools) request.tool_names.push_back(tool.name);
    rule_headers(request, conversation, defaults.strict_harmony);
    if (!wanted.ignore_eos) request.stop_ids = both(request.stop_ids, codec.renderer().stop_ids());
    request.max_new_tokens = most_new_tokens(context, request.prompt.size(), wanted.max_tokens, defaults.steps);
    request.include_reasoning = wanted.include_reasoning;
    request.reasoning_logprobs = wanted.reasoning_logprobs;
    request.parallel_tool_calls = wanted.parallel_tool_calls;
}

}  // namespace

void check_prompt_text(std::string_view text) {
    if (text.empty()) fail("the prompt is empty");
    if (const size_t valid = utf8_valid_prefix(text); valid < text.size())
        fail("the prompt is invalid UTF-8 at byte {}", valid + 1);
}

// Tokenizing so many bytes to find out would take several times their size in memory.
void check_fits(size_t n_bytes, const Tokenizer& tokenizer, int context) {
    if (n_bytes <= size_t(context)) return;  // a token has a byte
    size_t longest = 1;
    for (int id = 0; id < tokenizer.id_limit(); id++) longest = std::max(longest, tokenizer.bytes(id).size());
    if (n_bytes > longest * size_t(context))
        throw CodedError("context_length_exceeded",
                         fmt::format("the prompt has {} bytes of text, more than the model's context of {} tokens "
                                     "can hold",
                                     n_bytes, context));
}

uint64_t request_seed(uint64_t run_seed, int64_t index) {
    return mix64(run_seed + (uint64_t(index) + 1) * 0x9e3779b97f4a7c15);
}

int most_new_tokens(const RequestContext& context, size_t n_prompt, std::optional<int> max_tokens,
                    std::optional<int> steps) {
    const CommonConfig& config = context.config;
    if (context.purpose == Purpose::kScore) {
        if (n_prompt > size_t(config.max_context))
            fail("the prompt has {} tokens, the model's context {}", n_prompt, config.max_context);
        return 0;
    }
    if (max_tokens == 0 && n_prompt <= size_t(config.max_context)) return 0;
    try {
        const int room = room_for_answer(config, max_tokens ? 0 : steps, n_prompt);
        return std::min(room, max_tokens.value_or(context.defaults.max_new.value_or(room)));
    } catch (const Error& e) {
        throw CodedError("context_length_exceeded", e.what());
    }
}

void encode_request(Request& request, RequestBody wanted, const RequestContext& context) {
    const RequestDefaults& defaults = context.defaults;
    const CommonConfig& config = context.config;
    const TextCodec& codec = context.codec;
    request.unknown_fields = std::move(wanted.unknown_fields);
    if (defaults.strict_fields) check_no_unknown(request.unknown_fields);
    if (wanted.stream && !context.can_stream)
        fail("stream: expected false, as a line of answers comes whole, found true");
    if (!wanted.ignore_eos) request.stop_ids = config.stop_ids;
    request.kind = wanted.kind;
    if (std::holds_alternative<Conversation>(wanted.prompt))
        encode_chat(request, wanted, context);
    else
        encode_completion(request, wanted, wanted.max_tokens ? wanted.max_tokens : defaults.completion_tokens, context);
    if (!wanted.stop.empty()) codec.tokenizer();  // throws if there is none: stop strings are searched for in text

    request.model = std::move(wanted.model);
    request.n = wanted.n;
    request.vocab_size = config.vocab_size;
    for (const TokenBias& bias : wanted.logit_bias)
        if (bias.id >= config.vocab_size)
            fail("logit_bias: expected token ids below {}, found {}", config.vocab_size, bias.id);
    request.sampling = sampling_of(wanted, defaults);
    request.sampling.seed = wanted.seed.value_or(request_seed(defaults.seed, request.index));
    request.stop_texts = std::move(wanted.stop);
    for (const int id : wanted.stop_token_ids) {
        if (id >= config.vocab_size)
            fail("stop_token_ids: expected token ids below {}, found {}", config.vocab_size, id);
        request.stop_ids.push_back(id);
    }
    set_least(request, wanted.min_tokens, context.purpose);
    if (request.headers && request.headers->must_call) bound_stop_ids(request, "tool_choice");
    request.include_stop = wanted.include_stop;
    request.return_token_ids = wanted.return_token_ids;
    request.stream = wanted.stream;
    request.include_usage = wanted.include_usage;
    if (wanted.response) {
        const std::optional<Effort> effort = std::get<Conversation>(wanted.prompt).effort;
        echo_defaults(*wanted.response, effort.value_or(defaults.effort), request.sampling);
    }
    request.response = std::move(wanted.response);
}

Request read_request(const std::string& url, std::string_view body, int64_t index, const RequestContext& context) {
    Request request;
    request.index = index;
    try {
        const Json json = parse_json(body, "the body");
        encode_request(request, read_request_body(JsonFields(json, "", ".", "the body"), url, context.responses),
                       context);
    } catch (const CodedError& e) {
        throw BadRequest(bad_request(e.what(), e.code));
    } catch (const Error& e) {
        throw BadRequest(bad_request(e.what()));
    }
    return request;
}
