// encode_request.h: what a request asks for becomes ids, defaults and limits.
#pragma once
#include "error.h"
#include "request.h"
#include "requests/request_body.h"

// An error that has a name in the API.
struct CodedError : Error {
    CodedError(const char* name, const std::string& message) : Error(message), code(name) {}
    const char* code;
};

// Throw Error if text cannot be a prompt: it is empty or not UTF-8, or certain to have more tokens than the context has
// positions.
void check_prompt_text(std::string_view text);
void check_fits(size_t n_bytes, const Tokenizer& tokenizer, int context);
// The seed of a request that names none. It depends on the run's seed and the request's index alone, so the request
// draws the same numbers wherever it runs. Neighbours' seeds are unrelated.
uint64_t request_seed(uint64_t run_seed, int64_t index);
template <class T>
std::vector<T> both(std::vector<T> a, const std::vector<T>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// How long the answer to a prompt may be. Only the context limits max_tokens. Without it, the answer obeys
// --num-tokens, and prompt and answer together `steps`.
int most_new_tokens(const RequestContext& context, size_t n_prompt, std::optional<int> max_tokens,
                    std::optional<int> steps);
// Fills in `request`, whose index is there. Throws Error, which may be a CodedError.
void encode_request(Request& request, RequestBody wanted, const RequestContext& context);
