// requests.h: files of requests in, answers out: what getp and score share.
//
// Two formats of requests, told apart by content:
//   text        line 1 is the number of requests; each line after it is a raw prompt: no quotes, no trimming. If line 1
//               ends in CR LF, every line does. More lines are ignored with a warning; fewer are an error.
//   JSON lines  the OpenAI batch format, {"custom_id", "method", "url", "body"} a line, for /v1/chat/completions,
//               /v1/completions and /v1/responses; or the body alone. Blank lines are skipped.
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

#include "request.h"

// Where requests come from, and the defaults for what they do not say.
struct RequestOptions : RequestDefaults {
    std::string input;           // the file; "-": stdin
    int max_requests = -1;       // only the first so many; -1: all
    bool chat_template = false;  // text format: each line is a user message
};

// What the text format takes for absent steps, temperature and top_p.
constexpr int kFamilySteps = 1024;
constexpr float kFamilyTemperature = 0, kFamilyTopP = 0.9f;

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
    RequestContext context() const { return {options_, config_, codec_, purpose_}; }

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

// An answer in the text format: ids separated by single spaces; empty for a failed request.
std::string token_line(const std::vector<int>& ids);
// A request's answers as a line of the OpenAI batch output. `model` is for requests that name none; `created` is a Unix
// time.
std::string answer_line(const Request& request, const std::vector<Answer>& answers, const std::string& model,
                        int64_t created);
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
