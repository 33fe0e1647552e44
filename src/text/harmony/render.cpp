// render.cpp: messages to token ids.
//
// Each message becomes `<|start|>` header `<|message|>` content terminator. Text and structure meet only as ids: text
// is always encoded as ordinary text, whatever it spells.
#include <algorithm>

#include "error.h"
#include "harmony.h"
#include "text/harmony/tools.h"
#include "text/harmony/words.h"

namespace {

void append_section(std::string& text, const std::string& section) {
    if (section.empty()) return;
    if (!text.empty()) text += "\n\n";
    text += section;
}

void append_line(std::string& text, const std::string& line) {
    if (!text.empty()) text += "\n";
    text += line;
}

Message text_message(Role role, std::string content) {
    Message message;
    message.role = role;
    message.content = std::move(content);
    return message;
}

bool is_addressed(const Message& message) {
    return !message.recipient.empty() && message.recipient != "all";
}

bool is_final(const Message& message) {
    return message.role == Role::kAssistant && message.channel == "final";
}

// A call on the analysis channel is no thought and is kept: its result would answer nothing otherwise.
bool is_thought(const Message& message) {
    return message.role == Role::kAssistant && message.channel == "analysis" && !is_addressed(message);
}

}  // namespace

std::string_view effort_word(Effort effort) {
    switch (effort) {
        case Effort::kLow:
            return "low";
        case Effort::kMedium:
            return "medium";
        case Effort::kHigh:
            return "high";
    }
    return "medium";
}

std::string system_text(const Preamble& preamble) {
    std::string about = preamble.identity;
    if (!preamble.knowledge_cutoff.empty()) append_line(about, "Knowledge cutoff: " + preamble.knowledge_cutoff);
    if (!preamble.current_date.empty()) append_line(about, "Current date: " + preamble.current_date);

    std::string channels = "# Valid channels: analysis, commentary, final. Channel must be included for every message.";
    if (!preamble.tools.empty())
        append_line(channels, "Calls to these tools must go to the commentary channel: 'functions'.");

    std::string text = about;
    append_section(text, "Reasoning: " + std::string(effort_word(preamble.effort)));
    append_section(text, channels);
    return text;
}

std::string developer_text(const Preamble& preamble) {
    std::string text;
    if (!preamble.instructions.empty()) append_section(text, "# Instructions\n\n" + preamble.instructions);
    if (!preamble.tools.empty()) append_section(text, function_tools_text(preamble.tools));
    return text;
}

std::vector<Message> drop_old_analysis(const std::vector<Message>& messages) {
    const auto after_final = std::find_if(messages.rbegin(), messages.rend(), is_final).base();
    std::vector<Message> kept;
    std::remove_copy_if(messages.begin(), after_final, std::back_inserter(kept), is_thought);
    kept.insert(kept.end(), after_final, messages.end());
    return kept;
}

HarmonyRenderer::HarmonyRenderer(const Tokenizer& tokenizer) : tokenizer_(tokenizer), tokens_(tokenizer) {}

void HarmonyRenderer::append_text(std::vector<int>& ids, std::string_view text) const {
    const std::vector<int> more = tokenizer_.encode(text);
    ids.insert(ids.end(), more.begin(), more.end());
}

std::vector<int> HarmonyRenderer::render(const Message& message) const {
    std::vector<int> ids{tokens_.start};
    if (message.role == Role::kTool) {
        if (message.name.empty()) fail("tool message: name: expected the tool that answers, found none");
        append_text(ids, message.name);
    } else {
        append_text(ids, role_word(message.role));
        if (!message.name.empty()) append_text(ids, ":" + message.name);
    }

    if (is_addressed(message)) append_text(ids, " to=" + message.recipient);

    if (!message.channel.empty()) {
        ids.push_back(tokens_.channel);
        append_text(ids, message.channel);
    }

    const std::string_view type = message.content_type;
    if (type.substr(0, kConstrain.size()) == kConstrain) {
        append_text(ids, " ");
        ids.push_back(tokens_.constrain);
        append_text(ids, type.substr(kConstrain.size()));
    } else if (!type.empty()) {
        append_text(ids, " " + message.content_type);
    }

    ids.push_back(tokens_.message);
    append_text(ids, message.content);
    ids.push_back(message.role == Role::kAssistant && is_addressed(message) ? tokens_.call : tokens_.end);
    return ids;
}

std::vector<int> HarmonyRenderer::render_prompt(const Preamble& preamble, const std::vector<Message>& messages) const {
    std::vector<int> ids = render(text_message(Role::kSystem, system_text(preamble)));
    const auto append = [&](const Message& message) {
        const std::vector<int> more = render(message);
        ids.insert(ids.end(), more.begin(), more.end());
    };
    const std::string instructions = developer_text(preamble);
    if (!instructions.empty()) append(text_message(Role::kDeveloper, instructions));
    for (const Message& message : drop_old_analysis(messages)) append(message);

    ids.push_back(tokens_.start);
    append_text(ids, role_word(Role::kAssistant));
    return ids;
}

std::vector<int> HarmonyRenderer::final_header() const {
    std::vector<int> ids{tokens_.channel};
    append_text(ids, "final");
    ids.push_back(tokens_.message);
    return ids;
}

std::vector<int> HarmonyRenderer::stop_ids() const {
    std::vector<int> ids{tokens_.call};
    if (tokens_.done) ids.push_back(*tokens_.done);
    if (tokens_.endoftext) ids.push_back(*tokens_.endoftext);
    return ids;
}
