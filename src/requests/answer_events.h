// answer_events.h: what a running request says while it is generated, piece by piece, whoever is told.
#pragma once
#include <memory>
#include <string_view>

#include "request.h"

// Is told what one answer consists of, as it comes. Text is told in whole UTF-8 characters, and only once no stop
// string can take it back. All pieces of content, put together, are the Answer's content; so are those of reasoning and
// of each call. Replicas' threads call, for one answer never two at the same time; a function must not throw.
class AnswerEvents {
  public:
    virtual ~AnswerEvents() = default;

    // Asked before every step, from any thread. True ends the request. has_begun: it has a token.
    virtual bool cancelled(bool /*has_begun*/) const { return false; }

    // A device takes the request up; perhaps more than once.
    virtual void on_start() {}
    // Before the first token. n_reused tokens of the prompt were found in the KV cache.
    virtual void on_begin(int /*n_reused*/) {}
    // One more token, a stop id included; before what it says.
    virtual void on_token(int /*id*/) {}

    // How likely the token is, before what it says, if the request asks for that. Tokens of content are told when their
    // text is, so none that a stop string cuts off.
    virtual void on_logprobs(const TokenChoice& /*token*/, bool /*is_reasoning*/) {}

    // The analysis. A second message of it begins on a new line.
    virtual void on_reasoning(std::string_view /*text*/) {}
    virtual void on_reasoning_break() { on_reasoning("\n"); }
    // What is for the user to read. A preamble introduces calls. A second message begins on a new line.
    virtual void on_content(std::string_view /*text*/, bool /*is_preamble*/) {}
    virtual void on_content_break(bool is_preamble) { on_content("\n", is_preamble); }
    // Calls one after the other; index counts them from 0, as Answer::tool_calls does. The answer's end may cut off the
    // last one; it is ended nevertheless.
    virtual void on_call_begin(int /*index*/, const std::string& /*name*/) {}
    virtual void on_call_arguments(int /*index*/, std::string_view /*text*/) {}
    virtual void on_call_end(int /*index*/) {}

    // The end, one of two. The Answer is what getp writes for the same request; its error is set if the request failed.
    virtual void on_done(Answer /*answer*/) {}
    virtual void on_cancelled() {}
};

// The job that runs `request`, which has no error, and tells `events`. `codec` outlives it.
std::unique_ptr<Job> make_job(Request request, const TextCodec& codec, std::unique_ptr<AnswerEvents> events);
