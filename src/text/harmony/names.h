// names.h: finds the names of channels and tools in a header's words, whatever models glue to them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

// A word that begins with a channel's name, in upper or lower case, after any punctuation: "Final", "--commentary",
// "commentaryjson". `channel` is empty if there is none. `rest` is what follows, without punctuation and repetitions.
struct ChannelWord {
    std::string channel;
    std::string rest;
};
ChannelWord read_channel_word(std::string_view word);

// The recipient that a word names: "functions.NAME" for a tool of the request or a made-up one in that namespace, else
// the word itself. `glued` is what was glued to the name: "json", "commentary".
struct RecipientWord {
    std::string recipient;
    std::string glued;
    bool is_call = false;
    bool is_known = false;  // one of the request's tools
};
RecipientWord read_recipient_word(std::string_view word, const std::vector<std::string>& tools);

// The recipients of messages that call nothing.
bool is_everyone(std::string_view recipient);
// Whether the word is a content type. It is then no tool, even if a tool has that name.
bool is_type_word(std::string_view word);
