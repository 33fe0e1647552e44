// fuzz_harmony.cpp: two inputs in one. Text that begins with '{' is a tool's schema, to be rendered; any other is a
// stream of ids, to be parsed: the bytes 0xf5 to 0xff, which UTF-8 never has, stand for the special tokens.
#include <cstdio>
#include <cstdlib>

#include "error.h"
#include "harmony_checks.h"

namespace {

constexpr int kFirstSpecialByte = 0xf5;
static_assert(kFirstSpecialByte + int(std::size(kByteSpecials)) == 0x100);

void require(bool ok, const char* what) {
    if (ok) return;
    std::fprintf(stderr, "fuzz_harmony: %s\n", what);
    std::abort();
}

void render_schema(const HarmonyRenderer& renderer, const std::string& schema) {
    Preamble preamble;
    preamble.tools = {{"f", "A tool.", schema}};
    try {
        renderer.render_prompt(preamble, {});
    } catch (const Error&) {
    }
}

void parse_stream(const Tokenizer& tokenizer, const HarmonyRenderer& renderer, const std::vector<int>& ids) {
    const ParsedStream parsed = parse_and_check(tokenizer, ids);
    require(parsed.fault.empty(), parsed.fault.c_str());
    // What was parsed can be put into a prompt, and is read from there as the same.
    for (const Message& message : parsed.messages) {
        const ParsedStream again = parse_and_check(tokenizer, renderer.render(message));
        require(again.messages == std::vector<Message>{message}, "a rendered message does not come back");
    }
}

// Ids that the automaton does not allow are left out. Of the others, no header may be lost on the parser.
void constrain_stream(const Tokenizer& tokenizer, const std::vector<int>& ids) {
    for (const bool must_call : {false, true}) {
        HeaderAutomaton headers(tokenizer, {{"f", "fx"}, must_call, true});
        HarmonyParser parser(tokenizer, {"f", "fx"});
        for (const int id : ids) {
            const auto allowed = headers.allowed();
            require(!allowed || !allowed->empty(), "nothing is allowed");
            if (allowed && !std::binary_search(allowed->begin(), allowed->end(), id)) continue;
            headers.feed(id);
            parser.feed(id);
        }
        for (size_t i = 0; i + 1 < parser.messages().size(); i++)
            require(parser.messages()[i].role == Role::kAssistant && !parser.messages()[i].channel.empty(),
                    "a header that is none");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Tokenizer tokenizer = byte_tokenizer();
    static const HarmonyRenderer renderer(tokenizer);
    if (size > 0 && data[0] == '{') {
        render_schema(renderer, std::string(data, data + size));
    } else {
        std::vector<int> ids;
        for (size_t i = 0; i < size; i++)
            ids.push_back(data[i] < kFirstSpecialByte ? data[i] : kFirstSpecial + data[i] - kFirstSpecialByte);
        parse_stream(tokenizer, renderer, ids);
        constrain_stream(tokenizer, ids);
    }
    return 0;
}
