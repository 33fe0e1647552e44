// harmony_checks.h: prompts of the byte tokenizer as strings, and what must hold for every stream of ids.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "byte_tokenizer.h"
#include "harmony.h"

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

// Header syntax has only small letters, ':' and '=', so digits and capitals must all come out: counted, for headers are
// put in another order. Deltas must add up to the messages.
inline ParsedStream parse_and_check(const Tokenizer& tokenizer, const std::vector<int>& ids) {
    HarmonyParser parser(tokenizer);
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

    int64_t balance[128] = {};
    for (const int id : ids)
        if (id >= 0 && id < 128) balance[id]++;
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 128) balance[int(c)]--;
    for (int c = 0; c < 128; c++)
        if (((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')) && balance[c] != 0)
            parsed.fault = std::string("text lost or made up: '") + char(c) + "'";
    return parsed;
}
