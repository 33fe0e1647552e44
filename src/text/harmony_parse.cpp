// harmony_parse.cpp: generated ids to messages, as they come.
//
// Models stray from the format: they give the recipient before or after the channel, forget `<|message|>` or `<|start|>`,
// go on after a call. The rules here are those of the harmony library's parser where it has one, and never lose text.
#include <algorithm>

#include "harmony.h"
#include "text/harmony_words.h"

namespace {

constexpr std::string_view kTo = "to=";
constexpr std::string_view kSpaces = " \t\n\v\f\r";

bool starts_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

std::string whole_utf8(const std::string& bytes) {
    Utf8Stream utf8;
    const std::string text = utf8.feed(bytes);
    return text + utf8.finish();
}

// Text of which words are taken from the front. What is not taken stays as it is.
class Words {
  public:
    explicit Words(const std::string& bytes) : text_(whole_utf8(bytes)), rest_(text_) {}
    Words(const Words&) = delete;

    // The next word; "" at the end.
    std::string_view peek() const {
        const size_t begin = std::min(rest_.find_first_not_of(kSpaces), rest_.size());
        return rest_.substr(begin, rest_.find_first_of(kSpaces, begin) - begin);
    }
    // Takes it, with the white space around it.
    std::string take() {
        const std::string word(peek());
        skip_spaces();
        rest_.remove_prefix(word.size());
        skip_spaces();
        return word;
    }
    std::string_view rest() const { return rest_; }

  private:
    void skip_spaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kSpaces), rest_.size())); }
    const std::string text_;
    std::string_view rest_;
};

void set_recipient(Message& message, std::string_view word) {
    if (starts_with(word, kTo)) word.remove_prefix(kTo.size());
    message.recipient = word == "all" ? "" : word;
}

void take_recipient(Words& words, Message& message) {
    if (message.recipient.empty() && starts_with(words.peek(), kTo)) set_recipient(message, words.take());
}

// What a header says beside role, channel, constraint and a "to=" in its place: a content type after the recipient, a
// recipient without "to=", or both. False if it is more than that.
bool read_extra_words(std::vector<std::string> words, Message& message) {
    const auto to = std::find_if(words.begin(), words.end(), [](const auto& word) { return starts_with(word, kTo); });
    if (to != words.end()) std::rotate(words.begin(), to, to + 1);  // the recipient, wherever it stands
    const bool no_recipient = message.recipient.empty(), no_type = message.content_type.empty();
    if (words.empty()) return true;
    if (words.size() == 1 && no_recipient) {
        set_recipient(message, words[0]);
    } else if (words.size() == 1 && no_type) {
        message.content_type = words[0];
    } else if (words.size() == 2 && no_recipient && no_type) {
        set_recipient(message, words[0]);
        message.content_type = words[1];
    } else {
        return false;
    }
    return true;
}

}  // namespace

HarmonyParser::HarmonyParser(const Tokenizer& tokenizer, std::vector<std::string> tools)
    : tokenizer_(tokenizer), tokens_(tokenizer), tools_(std::move(tools)) {
    header_.role_given = true;
}

// The message that a header announces. A header that is not `complete`, for want of `<|message|>`, is content from the
// first word on that can be none of a header's.
Message HarmonyParser::read_header(const Header& header, bool complete) {
    Message message;
    message.role = Role::kAssistant;
    Words author(header.text[Header::kAuthor]), channel(header.text[Header::kChannel]),
        constrain(header.text[Header::kConstrain]);

    const std::string_view word = author.peek();
    const std::string_view role_part = word.substr(0, word.find(':'));
    if (header.role_given) {
        if (word == role_word(Role::kAssistant)) author.take();
    } else if (const std::optional<Role> role = role_of_word(role_part)) {
        message.role = *role;
        message.name = word.substr(std::min(role_part.size() + 1, word.size()));
        author.take();
    } else if (complete && !word.empty() && !starts_with(word, kTo)) {
        message.role = Role::kTool;
        message.name = author.take();
    }
    take_recipient(author, message);
    message.channel = channel.take();
    take_recipient(channel, message);
    if (complete && header.has_constrain) message.content_type = std::string(kConstrain) + constrain.take();

    std::string rest;
    std::vector<std::string> extra;
    for (Words* words : {&author, &channel, &constrain}) {
        if (!rest.empty() && !words->rest().empty()) rest += ' ';
        rest += words->rest();
        while (!words->peek().empty()) extra.push_back(words->take());
    }
    if (!complete || !read_extra_words(extra, message)) message.content = rest;
    return message;
}

void HarmonyParser::open_message(bool complete) {
    messages_.push_back(read_header(header_, complete));
    header_ = Header{};
    in_content_ = true;
}

// `text`, which has just been added to the last message.
HarmonyParser::Delta HarmonyParser::current(const std::string& text) const {
    Delta delta;
    delta.audience = audience_of(messages_.back());
    delta.channel = messages_.back().channel;
    delta.recipient = messages_.back().recipient;
    delta.text = text;
    return delta;
}

HarmonyParser::Delta HarmonyParser::close_message() {
    std::string text;
    if (!in_content_) {
        const auto is_blank = [](const std::string& s) { return s.find_first_not_of(kSpaces) == std::string::npos; };
        if (!header_.has_channel && !header_.has_constrain && is_blank(header_.text[Header::kAuthor])) {
            header_ = Header{};
            return {};
        }
        open_message(/*complete=*/false);
        text = messages_.back().content;
    }
    const std::string cut_character = utf8_.finish();
    messages_.back().content += cut_character;
    in_content_ = false;
    Delta delta = current(text + cut_character);
    delta.message_done = true;
    return delta;
}

HarmonyParser::Delta HarmonyParser::feed(int id) {
    if (id == tokens_.start || id == tokens_.end || id == tokens_.call || id == tokens_.done || id == tokens_.endoftext)
        return close_message();

    if (id == tokens_.channel) {
        // In content, or after a channel: the next message has come, without `<|end|>` and `<|start|>`.
        const Delta delta = in_content_ || header_.has_channel ? close_message() : Delta{};
        header_.part = Header::kChannel;
        header_.has_channel = true;
        return delta;
    }

    if (in_content_) {
        if (tokenizer_.is_special(id)) return current("");
        const std::string text = utf8_.feed(tokenizer_.bytes(id));
        messages_.back().content += text;
        return current(text);
    }

    if (id == tokens_.message) {
        open_message(/*complete=*/true);
        return current(messages_.back().content);
    }
    if (id == tokens_.constrain) {
        header_.part = Header::kConstrain;
        header_.has_constrain = true;
    } else if (!tokenizer_.is_special(id)) {
        header_.text[header_.part] += tokenizer_.bytes(id);
    }
    return {};
}

HarmonyParser::Delta HarmonyParser::finish() {
    return close_message();
}
