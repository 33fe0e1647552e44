// parse.cpp: turns ids into messages as they are generated.
//
// Models stray from the format: they repeat a channel, forget `<|message|>` or `<|start|>`, go on after a call. Where
// the harmony library's parser has a rule, this one has the same. No rule loses text.
#include "harmony.h"
#include "text/harmony/header.h"
#include "text/harmony/words.h"

HarmonyParser::HarmonyParser(const Tokenizer& tokenizer, std::vector<std::string> tools)
    : tokenizer_(tokenizer), tokens_(tokenizer), tools_(std::move(tools)), header_(std::make_unique<HarmonyHeader>()) {
    header_->role_given = true;
}

HarmonyParser::~HarmonyParser() = default;

void HarmonyParser::open_message(Message message) {
    messages_.push_back(std::move(message));
    header_ = nullptr;
}

// What to show for `text`, which has just been added to the last message.
HarmonyParser::Delta HarmonyParser::current(const std::string& text) const {
    Delta delta;
    delta.audience = audience_of(messages_.back());
    delta.channel = messages_.back().channel;
    delta.recipient = messages_.back().recipient;
    delta.text = text;
    return delta;
}

// A header that says nothing, or only the beginning of a call, leaves no message.
HarmonyParser::Delta HarmonyParser::close_message(bool is_call) {
    Delta delta;
    if (header_) {
        Message message = read_cut_header(*header_, tools_, is_call);
        const bool has_text = message.content.find_first_not_of(kSpaces) != std::string::npos || !message.name.empty();
        if (has_text || audience_of(message) == Audience::kTool) {
            open_message(std::move(message));
            delta = current(messages_.back().content);
            delta.message_done = true;
        }
    } else {
        const std::string cut_character = utf8_.finish();
        messages_.back().content += cut_character;
        delta = current(cut_character);
        delta.message_done = true;
    }
    header_ = std::make_unique<HarmonyHeader>();
    header_calls_ = false;
    return delta;
}

// Reads `<|channel|>`. In content it begins the next message, whose `<|start|>` is missing. In a header it begins the
// next part, unless the header is really a message whose `<|message|>` is missing.
HarmonyParser::Delta HarmonyParser::start_channel() {
    Delta delta;
    if (header_) {
        const PartWords words = words_of_last_part(*header_, tools_);
        header_calls_ = header_calls_ || words.has_call;
        if (words.is_prose && !header_calls_) delta = close_message(/*is_call=*/false);
    } else {
        delta = close_message(/*is_call=*/false);
    }
    header_->parts.push_back({HeaderPart::kChannel, ""});
    return delta;
}

HarmonyParser::Delta HarmonyParser::feed(int id) {
    if (id == tokens_.start || id == tokens_.end || id == tokens_.call || id == tokens_.done || id == tokens_.endoftext)
        return close_message(id == tokens_.call);
    if (id == tokens_.channel) return start_channel();

    if (!header_) {
        if (tokenizer_.is_special(id)) return current("");
        const std::string text = utf8_.feed(tokenizer_.bytes(id));
        messages_.back().content += text;
        return current(text);
    }

    if (id == tokens_.message) {
        CompleteHeader read = read_complete_header(*header_, tools_);
        if (read.aside.empty()) {
            open_message(std::move(read.message));
            return current(messages_.back().content);
        }
        Message aside;
        aside.role = Role::kAssistant;
        aside.channel = "analysis";
        aside.content = std::move(read.aside);
        open_message(std::move(aside));
        Delta delta = current(messages_.back().content);
        delta.message_done = true;
        open_message(std::move(read.message));
        return delta;
    }
    if (id == tokens_.constrain)
        header_->parts.push_back({HeaderPart::kConstrain, ""});
    else if (!tokenizer_.is_special(id))
        header_->parts.back().bytes += tokenizer_.bytes(id);
    return {};
}

HarmonyParser::Delta HarmonyParser::finish() {
    return close_message(/*is_call=*/false);
}
