// harmony_checks.h: prompts of the byte tokenizer as strings, and what must hold for every stream of ids.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "harmony.h"
#include "support/byte_tokenizer.h"

// Special tokens by name; a "<|" that is text is written "<\|".
inline std::string marked(const std::vector<int>& ids) {
    std::string out;
    for (size_t i = 0; i < ids.size(); i++) {
        if (ids[i] >= kFirstSpecial) {
            out += kByteSpecials[ids[i] - kFirstSpecial];
        } else {
            out += char(ids[i]);
            if (ids[i] == '<' && i + 1 < ids.size() && ids[i + 1] == '|') out += '\\';
        }
    }
    return out;
}

// The reverse of marked().
inline std::vector<int> ids_of(std::string_view text) {
    std::vector<int> ids;
    while (!text.empty()) {
        if (text.substr(0, 2) == "<|") {
            const size_t length = text.find("|>") + 2;
            ids.push_back(byte_special(std::string(text.substr(0, length))));
            text.remove_prefix(length);
            continue;
        }
        ids.push_back(static_cast<unsigned char>(text[0]));
        text.remove_prefix(text.substr(0, 3) == "<\\|" ? 2 : 1);
    }
    return ids;
}

inline bool operator==(const Message& a, const Message& b) {
    return a.role == b.role && a.name == b.name && a.recipient == b.recipient && a.channel == b.channel &&
           a.content_type == b.content_type && a.content == b.content;
}

// What a parser makes of `ids`, or what is wrong with it: `fault` is "" if its promises hold.
struct ParsedStream {
    std::vector<Message> messages;
    std::string fault;
};

// Digits, and capitals that no channel's name has, are no header syntax: all must come out. They are counted, because
// words of headers change places; not behind "to=", where a name may be repeated or cut off. Deltas must add up to the
// messages.
inline ParsedStream parse_and_check(const Tokenizer& tokenizer, const std::vector<int>& ids,
                                    const std::vector<std::string>& tools = {}) {
    HarmonyParser parser(tokenizer, tools);
    ParsedStream parsed;
    std::vector<Message> from_deltas;
    bool is_open = false;
    const auto add = [&](const HarmonyParser::Delta& delta) {
        if (delta.text.empty() && !delta.message_done) return;
        if (!is_open) {
            from_deltas.emplace_back();
            from_deltas.back().channel = delta.channel;
            from_deltas.back().recipient = delta.recipient;
        }
        from_deltas.back().content += delta.text;
        if (delta.channel != from_deltas.back().channel || delta.recipient != from_deltas.back().recipient)
            parsed.fault = "a message's deltas disagree on where it goes";
        is_open = !delta.message_done;
    };
    for (const int id : ids) add(parser.feed(id));
    add(parser.finish());
    parsed.messages = parser.messages();

    if (is_open) parsed.fault = "finish() left a message open";
    if (from_deltas.size() != parsed.messages.size()) {
        parsed.fault = "deltas end another number of messages than there are";
        return parsed;
    }
    std::string text;
    for (size_t i = 0; i < parsed.messages.size(); i++) {
        const Message& message = parsed.messages[i];
        const Message& streamed = from_deltas[i];
        if (streamed.content != message.content || streamed.channel != message.channel ||
            streamed.recipient != message.recipient)
            parsed.fault = "deltas do not add up to message " + std::to_string(i);
        text += message.name + message.recipient + message.channel + message.content_type + message.content;
    }

    std::string fed;
    for (const int id : ids)
        if (id >= 0 && id < kFirstSpecial) fed += char(id);
    const bool has_names = fed.find("to=") != std::string::npos || fed.find("functions.") != std::string::npos;
    for (const char c : std::string("0123456789BDGHJKPQUVWXZ"))
        if (const auto lost = std::count(fed.begin(), fed.end(), c) - std::count(text.begin(), text.end(), c);
            lost < 0 || (lost > 0 && !has_names))
            parsed.fault = std::string("text lost or made up: '") + c + "'";
    return parsed;
}
