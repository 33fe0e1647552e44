// words.cpp: special tokens and role names of the chat format.
#include "text/harmony/words.h"

#include "error.h"

namespace {

struct RoleWord {
    Role role;
    std::string_view word;
};

constexpr RoleWord kRoleWords[] = {
    {Role::kSystem, "system"},
    {Role::kDeveloper, "developer"},
    {Role::kUser, "user"},
    {Role::kAssistant, "assistant"},
};

int required(const Tokenizer& tokenizer, std::string_view name) {
    const std::optional<int> id = tokenizer.special(name);
    if (!id) fail("tokenizer: special tokens: expected {}, which the chat format needs, found none", name);
    return *id;
}

}  // namespace

std::string_view role_word(Role role) {
    for (const RoleWord& entry : kRoleWords)
        if (entry.role == role) return entry.word;
    return "tool";
}

std::optional<Role> role_of_word(std::string_view word) {
    for (const RoleWord& entry : kRoleWords)
        if (entry.word == word) return entry.role;
    return {};
}

// Decides, for the whole program, what is an answer, what reasoning and what a call.
Audience audience_of(const Message& message) {
    if (message.role != Role::kAssistant) return Audience::kNobody;
    if (message.channel == "final") return Audience::kReader;
    const bool calls = message.recipient.size() > kFunctions.size() &&
                       message.recipient.compare(0, kFunctions.size(), kFunctions) == 0;
    if (calls) return Audience::kTool;
    return message.channel == "analysis" ? Audience::kReasoning : Audience::kReader;
}

std::string called_tool(const Message& call) {
    return call.recipient.substr(kFunctions.size());
}

HarmonyTokens::HarmonyTokens(const Tokenizer& tokenizer)
    : start(required(tokenizer, "<|start|>")),
      message(required(tokenizer, "<|message|>")),
      channel(required(tokenizer, "<|channel|>")),
      constrain(required(tokenizer, kConstrain)),
      end(required(tokenizer, "<|end|>")),
      call(required(tokenizer, "<|call|>")),
      done(tokenizer.special("<|return|>")),
      endoftext(tokenizer.special("<|endoftext|>")) {}
