// header.cpp: sorts the words of a header into author, channel, recipient and content type.
//
// Models give the recipient before or after the channel, twice, without "to=" or glued to the next word; they repeat
// the channel, and think aloud before `<|message|>`. What is not header syntax stays text.
#include "text/harmony/header.h"

#include <algorithm>

#include "text/harmony/names.h"
#include "text/harmony/words.h"

namespace {

constexpr std::string_view kTo = "to=";
constexpr std::string_view kAssistant = "assistant";
// Tools that the model knows from its training. It may make up their results even if a request offers no tool.
constexpr std::string_view kTrainedTools[] = {"functions", "browser", "python", "container", "tool"};

bool starts_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

template <class List>
bool contains(const List& list, std::string_view word) {
    return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

std::string whole_utf8(const std::string& bytes) {
    Utf8Stream utf8;
    const std::string text = utf8.feed(bytes);
    return text + utf8.finish();
}

// Text from whose front words are taken one by one.
class Words {
  public:
    explicit Words(const std::string& bytes) : text_(whole_utf8(bytes)), rest_(text_) {}
    Words(const Words& other) : text_(other.rest_), rest_(text_) {}

    // The next word; "" at the end.
    std::string_view peek() const {
        const size_t begin = std::min(rest_.find_first_not_of(kSpaces), rest_.size());
        return rest_.substr(begin, rest_.find_first_of(kSpaces, begin) - begin);
    }
    // The white space before it.
    std::string_view spaces() const { return rest_.substr(0, rest_.find_first_not_of(kSpaces)); }
    void drop_spaces() { rest_.remove_prefix(spaces().size()); }
    // Takes the word, or its first `n` bytes, and the white space before it.
    std::string take(size_t n = std::string_view::npos) {
        const std::string word(peek().substr(0, n));
        drop_spaces();
        rest_.remove_prefix(word.size());
        return word;
    }
    std::string_view rest() const { return rest_; }

  private:
    const std::string text_;
    std::string_view rest_;
};

// Whether the header is that of a tool's result: "NAME to=assistant".
bool is_addressed_to_assistant(Words words) {
    words.take();
    return words.peek() == "to=assistant";
}

// Takes the author's name, if there is one, from the front of a header.
void take_author(Words& words, bool role_given, const std::vector<std::string>& tools, Message& message) {
    message.role = Role::kAssistant;
    const std::string_view word = words.peek();
    const std::string_view role_part = word.substr(0, word.find(':'));
    const std::optional<Role> role = role_of_word(role_part);
    if (role && (!role_given || *role == Role::kAssistant)) {
        message.role = *role;
        message.name = word.substr(std::min(role_part.size() + 1, word.size()));
        words.take();
    } else if (starts_with(word, kAssistant)) {
        size_t n = 0;  // "assistantassistant", "assistantfinal": what follows is the next word
        while (starts_with(word.substr(n), kAssistant)) n += kAssistant.size();
        words.take(n);
    } else if (!role_given && !word.empty() && !starts_with(word, kTo)) {
        const std::string_view trained = word.substr(0, word.find('.'));
        const bool is_tool = contains(kTrainedTools, trained) || contains(tools, word);
        if (!is_tool && !is_addressed_to_assistant(words)) return;
        message.role = Role::kTool;
        message.name = words.take();
    }
}

// Chooses the first that is a tool of the request, else the first call, else the first that is not everyone.
RecipientWord choose_recipient(const std::vector<RecipientWord>& recipients) {
    RecipientWord best;
    const auto rank = [](const RecipientWord& r) {
        return r.is_known ? 3 : r.is_call ? 2 : r.recipient.empty() ? 0 : 1;
    };
    for (const RecipientWord& r : recipients)
        if (!is_everyone(r.recipient) && rank(r) > rank(best)) best = r;
    return best;
}

// A word of a complete header that is neither author, channel nor constraint.
struct Item {
    enum Kind {
        kRecipient,  // its "to=" or its namespace says that it is a recipient
        kNamed,      // a tool's name and nothing else
        kOther,
    } kind;
    std::string spaces, word;  // white space before it
    RecipientWord recipient;   // of kRecipient and kNamed
    std::string tail;          // white space after it, at the end of a part
};

// Where a recipient begins that is glued to the text before it: "commentaryto=functions.f", "to:functions.f".
size_t start_of_call(std::string_view word) {
    const size_t to = word.find("to=functions.", 1);
    if (to != std::string_view::npos || starts_with(word, kTo)) return to;
    const size_t name = word.find(kFunctions, 1);
    return name != std::string_view::npos && !is_letter(word[name - 1]) ? name : std::string_view::npos;
}

// The words of a complete header, collected part by part.
class HeaderWords {
  public:
    explicit HeaderWords(const std::vector<std::string>& tools) : tools_(tools) {}

    void add(Words& words, HeaderPart::Marker marker) {
        const size_t n_before = items.size();
        if (marker == HeaderPart::kConstrain) has_constrain = true;
        for (bool is_first = true; !words.peek().empty(); is_first = false) {
            const std::string spaces(words.spaces());
            const size_t call = start_of_call(words.peek());
            std::string word = words.take(call);
            if (call != std::string_view::npos && std::none_of(word.begin(), word.end(), is_letter)) continue;
            if (word == kTo) word += words.take();
            if (starts_with(word, kTo))
                add_item(Item::kRecipient, spaces, word.substr(kTo.size()));
            else if (starts_with(word, kFunctions))
                add_item(Item::kRecipient, spaces, std::move(word));
            else if (is_first && marker == HeaderPart::kChannel)
                add_channel(spaces, std::move(word));
            else if (contains(tools_, word) && !is_type_word(word))
                add_item(Item::kNamed, spaces, std::move(word));
            else if (marker == HeaderPart::kConstrain && constrain.empty())
                constrain = std::move(word);
            else
                add_item(Item::kOther, spaces, std::move(word));
        }
        if (items.size() > n_before) items.back().tail = words.spaces();
    }

    int n_other() const {
        return int(std::count_if(items.begin(), items.end(), [](const Item& i) { return i.kind == Item::kOther; }));
    }
    bool is_prose() const { return n_other() >= 2; }

    // After all parts: decides which words are the channel and the recipient.
    void settle() {
        if (!unknown_channel_.empty() && (!channel.empty() || is_prose())) {
            items.insert(items.begin(), Item{Item::kOther, "", std::move(unknown_channel_), {}, ""});
            unknown_channel_.clear();
        }
        for (size_t i = 0; i < items.size() && channel.empty() && unknown_channel_.empty(); i++) {
            if (i > 0 && is_prose()) break;
            const ChannelWord read = items[i].kind == Item::kOther ? read_channel_word(items[i].word) : ChannelWord{};
            if (read.channel.empty() || !read.rest.empty()) continue;
            channel = read.channel;  // a channel without a marker: "assistant final"
            items.erase(items.begin() + long(i));
        }
        if (channel.empty()) channel = std::move(unknown_channel_);
        // A tool that is named without "to=" is called, unless its name stands in prose or in reasoning.
        if (is_prose() || channel == "analysis")
            for (Item& item : items)
                if (item.kind == Item::kNamed) item.kind = Item::kOther;
    }

    std::vector<RecipientWord> recipients() const {
        std::vector<RecipientWord> all;
        for (const Item& item : items)
            if (item.kind != Item::kOther) all.push_back(item.recipient);
        return all;
    }

    std::vector<Item> items;
    std::string channel;
    std::string constrain;
    bool has_constrain = false;

  private:
    void add_item(Item::Kind kind, const std::string& spaces, std::string word) {
        RecipientWord recipient = kind == Item::kOther ? RecipientWord{} : read_recipient_word(word, tools_);
        items.push_back({kind, spaces, std::move(word), std::move(recipient), ""});
    }

    void add_channel(const std::string& spaces, std::string word) {
        ChannelWord read = read_channel_word(word);
        if (!read.channel.empty()) {
            channel = std::move(read.channel);
            if (!read.rest.empty()) add_item(Item::kOther, spaces, std::move(read.rest));
        } else if (read_recipient_word(word, tools_).is_known) {
            add_item(Item::kNamed, spaces, std::move(word));
        } else {
            if (!unknown_channel_.empty()) add_item(Item::kOther, " ", std::move(unknown_channel_));
            unknown_channel_ = std::move(word);
        }
    }

    const std::vector<std::string>& tools_;
    std::string unknown_channel_;  // the last word behind a marker that is no channel's name
};

// The words that are neither the channel nor the recipient nor repeat one of them.
std::vector<Item> left_words(const HeaderWords& words, const Message& message) {
    std::vector<Item> left;
    for (const Item& item : words.items) {
        if (item.kind == Item::kOther && item.word == words.constrain) continue;
        if (item.kind == Item::kOther && read_channel_word(item.word).channel == item.word &&
            item.word == message.channel)
            continue;
        const std::string& to = item.recipient.recipient;
        if (item.kind == Item::kRecipient &&
            (is_everyone(to) || to == message.recipient || item.word == message.recipient))
            continue;
        if (item.kind == Item::kNamed && to == message.recipient) continue;
        left.push_back(item);
        if (item.kind == Item::kRecipient && !starts_with(item.word, kFunctions)) left.back().word.insert(0, kTo);
    }
    return left;
}

std::string as_text(const std::vector<Item>& items) {
    std::string text;
    for (const Item& item : items) {
        const bool apart = text.empty() || kSpaces.find(text.back()) != std::string_view::npos;
        if (!text.empty()) text += item.spaces.empty() && !apart ? " " : item.spaces;
        text += item.word + item.tail;
    }
    return text;
}

// Takes "json" from the front, where no `<|message|>` separates it from the text.
std::string take_type(Words& words) {
    for (const std::string_view type : {"json", "code"}) {
        const std::string_view word = words.peek();
        if (!starts_with(word, type)) continue;
        if (word.size() == type.size() || word[type.size()] == '{') return words.take(type.size());
    }
    return "";
}

}  // namespace

PartWords words_of_last_part(const HarmonyHeader& header, const std::vector<std::string>& tools) {
    Message ignored;
    Words text(header.parts.back().bytes);
    if (header.parts.size() == 1) take_author(text, header.role_given, tools, ignored);
    HeaderWords words(tools);
    words.add(text, header.parts.back().marker);
    return {words.is_prose(), choose_recipient(words.recipients()).is_call};
}

CompleteHeader read_complete_header(const HarmonyHeader& header, const std::vector<std::string>& tools) {
    CompleteHeader read;
    Message& message = read.message;
    HeaderWords words(tools);
    for (const HeaderPart& part : header.parts) {
        Words text(part.bytes);
        if (&part == &header.parts.front()) take_author(text, header.role_given, tools, message);
        words.add(text, part.marker);
    }
    words.settle();

    message.channel = words.channel;
    if (words.has_constrain) message.content_type = std::string(kConstrain) + words.constrain;
    if (message.role == Role::kAssistant) {
        const RecipientWord recipient = choose_recipient(words.recipients());
        message.recipient = recipient.recipient;
        if (is_type_word(recipient.glued)) {
            if (message.content_type.empty()) message.content_type = recipient.glued;
        } else if (message.channel.empty()) {
            message.channel = recipient.glued;
        }
    } else {
        for (const Item& item : words.items)
            if (item.kind == Item::kRecipient && message.recipient.empty()) message.recipient = item.word;
        if (message.recipient == "all") message.recipient.clear();
    }

    const std::vector<Item> left = left_words(words, message);
    const Audience audience = audience_of(message);
    if (left.size() == 1 && message.content_type.empty())
        message.content_type = left[0].word;
    else if (audience == Audience::kTool || message.channel == "final")
        read.aside = as_text(left);
    else
        message.content = as_text(left);
    return read;
}

Message read_cut_header(const HarmonyHeader& header, const std::vector<std::string>& tools, bool is_call) {
    Message message;
    std::vector<RecipientWord> recipients;
    for (const HeaderPart& part : header.parts) {
        Words words(part.bytes);
        const size_t n_bytes = words.rest().size();
        if (&part == &header.parts.front()) take_author(words, header.role_given, tools, message);
        if (part.marker == HeaderPart::kChannel) {
            const ChannelWord read = read_channel_word(words.peek());
            if (!read.channel.empty() && read.rest.empty()) {
                message.channel = read.channel;
                words.take();
            }
        }
        for (bool again = true; again;) {
            again = starts_with(words.peek(), kTo);
            if (again)
                recipients.push_back(read_recipient_word(words.take(words.peek().find('{')).substr(kTo.size()), tools));
            const bool type_may_follow = part.marker == HeaderPart::kConstrain || !recipients.empty();
            const std::string type = type_may_follow && message.content_type.empty() ? take_type(words) : "";
            if (type.empty()) continue;
            message.content_type = std::string(part.marker == HeaderPart::kConstrain ? kConstrain : "") + type;
            again = true;
        }
        if (words.rest().size() < n_bytes) words.drop_spaces();
        if (!message.content.empty() && !words.rest().empty()) message.content += ' ';
        message.content += words.rest();
    }

    const RecipientWord recipient = choose_recipient(recipients);
    const size_t first = message.content.find_first_not_of(kSpaces);
    const bool is_json = first != std::string::npos && message.content[first] == '{';
    if (message.role != Role::kAssistant)
        message.recipient = recipients.empty() || recipients[0].recipient == "all" ? "" : recipients[0].recipient;
    else if (!recipient.is_call || is_call || is_json)
        message.recipient = recipient.recipient;
    return message;
}
