// names.cpp: models glue names together, repeat them and put punctuation around them. Knowing the request's tools tells
// where a name ends.
#include "text/harmony/names.h"

#include <algorithm>
#include <iterator>

#include "text/harmony/words.h"

namespace {

constexpr std::string_view kChannels[] = {"analysis", "commentary", "final"};
constexpr std::string_view kTypes[] = {"json", "code"};
// Words that models glue to a tool's name: header syntax, and markers spelled as text.
constexpr std::string_view kGlue[] = {"json",      "code",    "analysis", "commentary", "final",
                                      "assistant", "channel", "message",  "constrain"};
// Namespaces that models write for "functions".
constexpr std::string_view kNamespaces[] = {"functions.", "functions:", "functions/", "Functions.",
                                            "function.",  "tools.",     "tool."};

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
// ASCII that is not part of a name. Letters of other scripts are bytes above ASCII.
bool is_punctuation(char c) {
    return c > ' ' && c < 0x7f && !is_letter(c) && !is_digit(c) && c != '_';
}

bool starts_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    return out;
}

// Punctuation in front of a channel's name, which is never part of it: also U+2010 to U+2015 and U+2026, dashes and
// dots.
std::string_view without_punctuation(std::string_view text) {
    while (!text.empty()) {
        const bool wide = starts_with(text, "\xe2\x80") && text.size() > 2 &&
                          ((text[2] >= '\x90' && text[2] <= '\x95') || text[2] == '\xa6');
        if (!wide && !is_punctuation(text[0])) break;
        text.remove_prefix(wide ? 3 : 1);
    }
    return text;
}

// The channel's name at the front of `text`, in any case; "" if there is none.
std::string_view channel_at(std::string_view text) {
    for (const std::string_view channel : kChannels)
        if (lower(text.substr(0, channel.size())) == channel) return channel;
    return "";
}

// Whether what follows a name is no more than words that are glued to names, punctuation, and digits after punctuation.
bool is_glue(std::string_view rest) {
    bool number_may_follow = false;
    while (!rest.empty()) {
        size_t n = 0;
        for (const std::string_view word : kGlue)
            if (starts_with(rest, word)) n = std::max(n, word.size());
        const bool punctuation = n == 0 && is_punctuation(rest[0]);
        if (punctuation || (n == 0 && number_may_follow && is_digit(rest[0]))) n = 1;
        if (n == 0) return false;
        number_may_follow = number_may_follow || punctuation;
        rest.remove_prefix(n);
    }
    return true;
}

// The tool that `name` means, with or without glued words: the one with the longest name, if several fit. Null: none.
const std::string* find_tool(std::string_view name, const std::vector<std::string>& tools) {
    const std::string* found = nullptr;
    for (const std::string& tool : tools)
        if ((!found || tool.size() > found->size()) && starts_with(name, tool) && is_glue(name.substr(tool.size())))
            found = &tool;
    return found;
}

std::string_view without_namespace(std::string_view word) {
    for (bool again = true; again;) {
        again = false;
        for (const std::string_view prefix : kNamespaces)
            if (starts_with(word, prefix)) {
                word.remove_prefix(prefix.size());
                again = true;
            }
    }
    return word;
}

}  // namespace

ChannelWord read_channel_word(std::string_view word) {
    ChannelWord found;
    std::string_view rest = without_punctuation(word);
    for (std::string_view channel = channel_at(rest); !channel.empty(); channel = channel_at(rest)) {
        rest = without_punctuation(rest.substr(channel.size()));
        const bool goes_on = !rest.empty() && rest[0] >= 'a' && rest[0] <= 'z';  // "finally"
        if (goes_on && !is_type_word(rest) && channel_at(rest).empty()) break;
        found.channel = channel;
        found.rest = rest;
    }
    return found;
}

RecipientWord read_recipient_word(std::string_view word, const std::vector<std::string>& tools) {
    RecipientWord found;
    found.recipient = word;
    if (is_everyone(word)) return found;
    const bool in_namespace = starts_with(word, kFunctions) && word.size() > kFunctions.size();
    // The whole word comes first, as a tool may be called "functions.f".
    const std::string_view readings[] = {in_namespace ? word.substr(kFunctions.size()) : word, word,
                                         without_namespace(without_punctuation(word))};
    for (const std::string_view name : readings) {
        const std::string* tool = find_tool(name, tools);
        if (!tool) continue;
        found.recipient = std::string(kFunctions) + *tool;
        found.is_call = found.is_known = true;
        const std::string_view glued = without_punctuation(name.substr(tool->size()));
        for (const std::string_view type : kTypes)
            if (starts_with(glued, type)) found.glued = type;
        if (found.glued.empty()) found.glued = read_channel_word(glued).channel;
        return found;
    }
    found.is_call = in_namespace;
    return found;
}

bool is_everyone(std::string_view recipient) {
    return recipient == "all" || recipient == "user" || recipient == "assistant";
}

bool is_type_word(std::string_view word) {
    return std::find(std::begin(kTypes), std::end(kTypes), word) != std::end(kTypes);
}
