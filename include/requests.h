// requests.h: files of requests in, answers out: what getp and score share.
//
// Two formats of requests, told apart by content:
//   text        line 1 is the number of requests; each line after it is a raw prompt: no quotes, no trimming. If line 1
//               ends in CR LF, every line does. More lines are ignored with a warning; fewer are an error.
//   JSON lines  the OpenAI batch format, {"custom_id", "method", "url", "body"} a line, for /v1/chat/completions and
//               /v1/completions; or the body alone. Blank lines are skipped.
// Requests are read one at a time, when the engine has room. A request that cannot run gets an error as its answer, and
// the others go on.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine.h"
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
};

// One request, checked and encoded; or what is wrong with it.
struct Request {
    int64_t index = 0;  // among the file's requests
    int64_t line = 0;   // of the file, from 1
    uint64_t hash = 0;  // of the line
    std::optional<std::string> custom_id;
    std::string error;       // not empty: it cannot run, and the fields below mean nothing
    std::string error_code;  // the API's name for the error; may be empty
    AnswerKind kind = AnswerKind::kTokens;
    std::string model;  // as the request names it; may be empty
    std::vector<int> prompt;
    std::vector<std::string> tool_names;  // kChat: those in the prompt, to recognise them in the answer
    int max_new_tokens = 0, min_new_tokens = 0;
    Sampling sampling;
    std::vector<int> stop_ids;
    std::vector<std::string> stop_texts;  // not empty strings
    bool include_stop = false;            // the stop string in the text
    bool return_token_ids = false;
    bool include_reasoning = true;    // kChat
    bool parallel_tool_calls = true;  // kChat; false: the first call ends the answer
};

enum class Purpose {
    kAnswer,
    kScore,  // max_new_tokens stays 0, and a prompt may fill the context
};

// Where requests come from, and the defaults for what they do not say.
struct RequestOptions {
    std::string input;           // the file; "-": stdin
    int max_requests = -1;       // only the first so many; -1: all
    bool strict_fields = false;  // a field of a JSON line that nobody knows is an error
    bool chat_template = false;  // text format: each line is a user message
    std::string instructions;    // developer message
    Effort effort = Effort::kMedium;
    std::optional<int> steps;    // prompt + generated tokens at most; 0, or absent: the model's context
    std::optional<int> max_new;  // generated tokens at most; a JSON line may say another number
    std::optional<float> temperature, top_p;
    std::optional<int> top_k;  // 0: all
    std::optional<float> repetition_penalty;
    bool penalises = true;  // the device applies a repetition penalty; else a request for one is an error
    uint64_t seed = 0;      // of the run; with a request's index it gives the request's seed
};

// What the text format takes for absent steps, temperature and top_p.
constexpr int kFamilySteps = 1024;
constexpr float kFamilyTemperature = 0, kFamilyTopP = 0.9f;

// How many tokens prompt and answer may have together under --steps (0 or absent: the context), and the name of that
// limit.
int answer_limit(const CommonConfig& config, std::optional<int> steps);
const char* limit_name(const CommonConfig& config, std::optional<int> steps);
// How many tokens may follow a prompt. Throws Error if none may.
int room_for_answer(const CommonConfig& config, std::optional<int> steps, size_t n_prompt);
constexpr double kLeastPenalty = 0.01, kMostPenalty = 100;  // of repetition

class LineReader;

// What a first pass over a file of requests has found. Keeps a few bytes for each request.
struct InputScan {
    // A request at which reading can begin.
    struct Place {
        int64_t offset, line;
    };
    int64_t n_bytes = 0, n_lines = 0;  // of the file
    int64_t last_filled = 0;           // the number of the last line that is not blank; 0: none
    std::vector<uint64_t> hashes;      // of requests' lines
    std::vector<bool> repeats_id;      // JSON: whether an earlier request has the same custom_id; empty: none does
    int64_t stride = 1;                // places are those of requests 0, stride, 2·stride, ...
    std::vector<Place> places;
};
constexpr int64_t kMaxPlaces = 8192;

// Reads a file of requests. Throws Error if it is in neither format, or is a text file with fewer lines than it says.
// The arguments must outlive the reader.
class RequestReader {
  public:
    RequestReader(const RequestOptions& options, const CommonConfig& config, const TextCodec& codec, Purpose purpose);
    ~RequestReader();

    bool is_text() const { return is_text_; }
    // Requests that next() will give; -1 if the input is a pipe, which tells only at its end.
    int64_t total() const { return total_; }
    // What is in the file; null if the input is a pipe.
    const InputScan* scan() const { return scan_.get(); }
    // The number of the line in the file that a request stands in. Not for a pipe.
    int64_t line_of(int64_t index) const;
    // From here on, next() leaves out requests for which `done` is true.
    void leave_out(std::function<bool(int64_t index)> done) { done_ = std::move(done); }
    // Makes next() give requests [begin, end), and then none. Not for a pipe.
    void read_only(int64_t begin, int64_t end);

    // The next request, in order; none at the end. Throws Error if the file cannot be read on, or is not what it was at
    // the start.
    std::optional<Request> next();
    // From any thread: next() ends soon, even while it waits for a pipe.
    void interrupt();
    // Positions that the longest request may take, for EngineOptions; 0: the context. Text obeys --steps; JSON may ask
    // for more.
    int max_request_positions() const;

  private:
    void open_text(std::string_view line_1);
    InputScan::Place place_of(int64_t index, int64_t& at) const;
    bool next_line(std::string_view& line);
    void note_unknown(const std::vector<std::string>& fields);
    void read_text(Request& request, std::string_view line) const;
    void read_json(Request& request, std::string_view line);
    int max_new_tokens(size_t n_prompt, std::optional<int> max_tokens) const;
    void set_least(Request& request, int min_tokens) const;

    const RequestOptions& options_;
    const CommonConfig& config_;
    const TextCodec& codec_;
    const Purpose purpose_;
    std::unique_ptr<LineReader> lines_;
    bool is_text_ = false, has_cr_ = false;
    int64_t count_ = 0;  // text: what line 1 says
    int64_t total_ = -1;
    int64_t n_read_ = 0;  // the index of the next request
    std::atomic<bool> interrupted_{false};
    int64_t end_ = -1;                 // next() gives requests before this one; -1: all
    std::unique_ptr<InputScan> scan_;  // null: a pipe
    std::function<bool(int64_t)> done_;
    std::unordered_set<uint64_t> custom_ids_;         // hashes of those seen so far; only for a pipe
    std::unordered_set<std::string> unknown_fields_;  // that a warning named
};

// Passes on a reader's requests, and says at the end whether every one has an answer.
class RequestIntake {
  public:
    explicit RequestIntake(RequestReader& reader) : reader_(reader) {}

    // The next request; none at the end, or if the file cannot be read on: then the requests so far are answered first.
    std::optional<Request> next();
    // One line on what is missing if `n_written` answers were written; "" if nothing is.
    std::string missing(const std::string& input, int64_t n_written) const;

  private:
    RequestReader& reader_;
    int64_t n_read_ = 0;
    std::string broken_off_;  // why the file could not be read on
};

struct ToolCall {
    std::string name;
    std::string arguments;  // JSON, if the model wrote JSON
};

struct Answer {
    std::string error;  // not empty: the request failed, and the rest is empty
    int n_prompt = 0;
    int n_reused = 0;      // of the prompt's tokens, found in the KV cache
    int n_reasoning = 0;   // kChat: how many ids the analysis has, without its header
    std::vector<int> ids;  // all that was generated, a stop id included
    Finish finish = Finish::kStop;
    double first_token_s = 0, request_s = 0;  // from reading the request to its first token, and to its end
    // Text ends before a stop string or stop id. A completion spells other special tokens by name.
    std::string content;    // kCompletion: the text; kChat: what is for the user to read
    std::string reasoning;  // kChat: the analysis
    std::vector<ToolCall> tool_calls;
};

// Takes what jobs produce. Several replicas' threads may call it at the same time; it must not throw.
class ResultSink {
  public:
    virtual ~ResultSink() = default;
    virtual void on_token() {}  // one more token, of any request
    // Asked before every step. True ends a request without an answer. has_begun: the request has a token.
    virtual bool cancelled(bool /*has_begun*/) const { return false; }
    virtual void on_answer(const Request& request, Answer answer) = 0;
};

// The job that runs `request`, which has no error; `codec` and `sink` outlive it.
std::unique_ptr<Job> make_job(Request request, const TextCodec& codec, ResultSink& sink);

// An answer in the text format: ids separated by single spaces; empty for a failed request.
std::string token_line(const std::vector<int>& ids);
// An answer as a line of the OpenAI batch output. `model` is for requests that name none; `created` is a Unix time.
std::string answer_line(const Request& request, const Answer& answer, const std::string& model, int64_t created);
// What a line of answers says about its request, so that a later run recognises it.
struct AnswerMark {
    int64_t index = 0;
    uint64_t hash = 0;  // Request::hash
    bool is_error = false;
    std::string_view ids;  // of a text_record: the answer's line
};
// The mark in a line that answer_line() wrote; none if the line is not whole.
std::optional<AnswerMark> mark_of_answer_line(std::string_view line);
// An answer in the text format with its mark: the form in which answers are kept, in any order, until all are there.
std::string text_record(const Request& request, bool is_error, const std::string& ids);
std::optional<AnswerMark> mark_of_text_record(std::string_view line);
// A hash of one answer's ids. The sum over a run, modulo 2^64, is a hash of the run that does not depend on the order
// in which answers come.
uint64_t answer_hash(int64_t index, const std::vector<int>& ids);

// Passes values on in order of index: each as soon as all before it have come.
template <class T>
class InOrder {
  public:
    explicit InOrder(std::function<void(T)> out) : out_(std::move(out)) {}
    void add(int64_t index, T value) {
        waiting_.emplace(index, std::move(value));
        for (auto it = waiting_.begin(); it != waiting_.end() && it->first == next_; it = waiting_.erase(it), next_++)
            out_(std::move(it->second));
    }

  private:
    std::function<void(T)> out_;
    std::map<int64_t, T> waiting_;
    int64_t next_ = 0;
};

// Compares answers, line by line, with a file of token ids, the text format of answers.
class Verifier {
  public:
    explicit Verifier(const std::string& path);  // throws Error if a line is not token ids
    ~Verifier();

    // Compares the next answer with the next line. Returns the first difference; "" if they are equal.
    std::string compare(const std::vector<int>& ids);
    std::string compare_line(std::string_view line);  // the answer as a line of ids
    void skip();                                      // leaves the next answer out
    int64_t n_compared() const { return n_compared_; }
    int64_t n_equal() const { return n_equal_; }
    int64_t n_skipped() const { return n_skipped_; }
    int64_t n_lines() const { return n_lines_; }  // of the file

  private:
    const std::string path_;
    std::unique_ptr<LineReader> lines_;
    int64_t n_lines_ = 0, n_compared_ = 0, n_equal_ = 0, n_skipped_ = 0;
};
