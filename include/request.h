// request.h: one request of any transport, and its answer: what it asks for, checked and encoded, and what came of it.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"
#include "error.h"
#include "harmony.h"
#include "tokenizer.h"

// The tokenizer and the chat format, or why there is none. Requests made of token ids need none.
class TextCodec {
  public:
    // Throws Error if `path` names a tokenizer and that cannot be used. The model's own may be missing.
    TextCodec(const Model& model, const std::string& path);
    explicit TextCodec(Tokenizer tokenizer);
    explicit TextCodec(std::string why_none) : no_tokenizer_(std::move(why_none)), no_renderer_(no_tokenizer_) {}
    TextCodec(const TextCodec&) = delete;
    TextCodec& operator=(const TextCodec&) = delete;

    bool has_tokenizer() const { return tokenizer_.has_value(); }
    const Tokenizer& tokenizer() const;       // throws Error if there is none
    const HarmonyRenderer& renderer() const;  // throws Error if there is none

  private:
    void make_renderer();
    std::optional<Tokenizer> tokenizer_;
    std::optional<HarmonyRenderer> renderer_;
    std::string no_tokenizer_, no_renderer_;
};

// What an answer is made of.
enum class AnswerKind {
    kTokens,      // ids alone: the text format
    kCompletion,  // and their text
    kChat,        // and the messages that they spell
    kResponse,    // the same as the Responses API has it
};

struct ResponseRequest;
class ResponseStore;
struct MorePrompt {
    std::vector<int> ids;
    int max_new_tokens = 0;
};

// One request, checked and encoded; or what is wrong with it.
struct Request {
    int64_t index = 0;  // among the requests of a run
    int64_t line = 0;   // of the file, from 1; 0: it comes from no file
    uint64_t hash = 0;  // of the line
    std::optional<std::string> custom_id;
    std::string error;                        // not empty: it cannot run, and the fields below mean nothing
    std::string error_code;                   // the API's name for the error; may be empty
    std::vector<std::string> unknown_fields;  // paths of fields that nobody knows; at most twenty
    AnswerKind kind = AnswerKind::kTokens;
    std::string model;  // as the request names it; may be empty
    std::vector<int> prompt;
    std::vector<MorePrompt> more_prompts;  // kCompletion: each with answers of its own
    int n = 1;                             // answers to each prompt
    int choice = 0;                        // of choices_of(): which answer this is
    bool shares_prompt = false;            // with the choice before
    int vocab_size = 0;                    // of the model
    bool echo = false;                     // kCompletion: the answer's text begins with the prompt
    std::vector<int> opening;              // kChat, kResponse: the end of the prompt, if that begins the answer
    std::vector<std::string> tool_names;   // kChat, kResponse: those in the prompt, to recognise them in the answer
    int max_new_tokens = 0, min_new_tokens = 0;
    Sampling sampling;
    std::vector<int> stop_ids;
    std::vector<std::string> stop_texts;  // not empty strings
    bool include_stop = false;            // the stop string in the text
    bool return_token_ids = false;
    bool stream = false;                              // the answer piece by piece, where that can be had
    bool include_usage = false;                       // in a stream
    bool include_reasoning = true;                    // kChat, kResponse
    bool reasoning_logprobs = false;                  // kChat: beside those of the content
    bool parallel_tool_calls = true;                  // kChat, kResponse; false: the first call ends the answer
    std::optional<HeaderRules> headers;               // kChat, kResponse: no other can be drawn; absent: any can
    std::shared_ptr<const ResponseRequest> response;  // kResponse; else null
};

enum class Purpose {
    kAnswer,
    kScore,  // max_new_tokens stays 0, and a prompt may fill the context
};

// The defaults for what a request does not say.
struct RequestDefaults {
    bool strict_fields = false;  // a field of a JSON body that nobody knows is an error
    std::string instructions;    // developer message
    Effort effort = Effort::kMedium;
    bool strict_harmony = false;  // no headers but those of the format, with the request's tools, can be drawn
    std::optional<int> steps;     // prompt + generated tokens at most; 0, or absent: the model's context
    std::optional<int> max_new;   // generated tokens at most; a JSON body may say another number
    std::optional<float> temperature, top_p;
    std::optional<int> top_k;  // 0: all
    std::optional<float> repetition_penalty;
    std::optional<int> completion_tokens;  // of an answer that is no chat, if the request gives no max_tokens
    bool special_tokens = true;            // a completion's prompt may spell them, unless the request says otherwise
    uint64_t seed = 0;                     // of the run; with a request's index it gives the request's seed
};

// What a request is read with. All of it must outlive the reading.
struct RequestContext {
    const RequestDefaults& defaults;
    const CommonConfig& config;
    const TextCodec& codec;
    Purpose purpose = Purpose::kAnswer;
    const ResponseStore* responses = nullptr;  // earlier ones, on which requests may build; null: none are kept
    bool can_stream = false;                   // else a request for a stream is an error
};

// What the API says about a request that failed.
struct ApiError {
    int status = 400;  // HTTP's
    std::string type = "invalid_request_error";
    std::string message;
    std::string param, code;  // empty: null
};
// {"error": {"message", "type", "param", "code"}}
std::string error_object(const ApiError& error);
// What is wrong with a request that cannot run. `why` begins with the name of the field, if it is about one.
ApiError bad_request(const std::string& why, const std::string& code = "");

struct BadRequest : Error {
    explicit BadRequest(ApiError e) : Error(e.message), error(std::move(e)) {}
    ApiError error;
};

// Reads the JSON body of a request to `url`, whose path may end in chat/completions, completions or responses; if it
// is "", the body's fields decide. `index` gives the request its seed, unless the body does. Throws BadRequest.
Request read_request(const std::string& url, std::string_view body, int64_t index, const RequestContext& context);

// How many tokens prompt and answer may have together under --steps (0 or absent: the context), and the name of that
// limit.
int answer_limit(const CommonConfig& config, std::optional<int> steps);
const char* limit_name(const CommonConfig& config, std::optional<int> steps);
// How many tokens may follow a prompt. Throws Error if none may.
int room_for_answer(const CommonConfig& config, std::optional<int> steps, size_t n_prompt);
constexpr double kLeastPenalty = 0.01, kMostPenalty = 100;  // of repetition

// One request for each answer: n to a prompt, prompt after prompt. The i-th answer to a prompt has the seed + i.
std::vector<Request> choices_of(const Request& request);

struct ToolCall {
    std::string name;
    std::string arguments;  // JSON, if the model wrote JSON
};

// A part of an answer: all text of one kind that comes in a row, or a call.
struct AnswerItem {
    enum class Kind { kReasoning, kPreamble, kText, kCall };
    Kind kind = Kind::kText;
    std::string text;  // of a call, the arguments
    std::string name;  // kCall
};

// A token of an answer, and those that the model finds most likely in its place.
struct TokenChoice {
    struct Entry {
        std::string bytes;  // may be part of a character
        double logprob;     // not a number: nothing comes before it
    };
    Entry drawn;
    std::vector<Entry> top;
};

struct Answer {
    std::string error;  // not empty: the request failed, and the rest is empty
    int n_prompt = 0;
    bool shares_prompt = false;  // with the answer before, to the same request
    int n_reused = 0;            // of the prompt's tokens, found in the KV cache
    int n_reasoning = 0;         // kChat: how many ids the analysis has, without its header
    std::vector<int> ids;        // all that was generated, a stop id included
    Finish finish = Finish::kStop;
    double first_token_s = 0, request_s = 0;  // from reading the request to its first token, and to its end
    // Text ends before a stop string or stop id. A completion spells other special tokens by name.
    std::string content;    // kCompletion: the text; kChat: what is for the user to read
    std::string reasoning;  // kChat: the analysis
    std::vector<ToolCall> tool_calls;
    std::vector<AnswerItem> items;  // kResponse: all of it again, in its order
    // If asked for: of content's tokens, with those of an echoed prompt; of reasoning's.
    std::vector<TokenChoice> logprobs, reasoning_logprobs;
};

// Takes what jobs produce. Several replicas' threads may call it at the same time; it must not throw.
class ResultSink {
  public:
    virtual ~ResultSink() = default;
    virtual void on_token() {}  // one more token, of any request
    // Asked before every step. True ends a request without an answer. has_begun: the request has a token.
    virtual bool cancelled(bool /*has_begun*/) const { return false; }
    // All answers that the request asks for; if it failed, one that says why.
    virtual void on_answers(const Request& request, std::vector<Answer> answers) = 0;
};

// The jobs that run `request`, which has no error: one for each of choices_of(); `codec` and `sink` outlive them.
std::vector<std::unique_ptr<Job>> make_jobs(Request request, const TextCodec& codec, ResultSink& sink);
