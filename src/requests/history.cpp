// history.cpp: turns of a conversation as harmony messages, and the parts of requests that several APIs share.
#include "requests/history.h"

#include <algorithm>

#include "error.h"

namespace {

constexpr size_t kMaxNameBytes = 256;
// Each message takes at least four tokens, so this many fill the longest context of the models.
constexpr int kMaxItems = 32768;
// A schema becomes a tree that takes many times the schema's bytes.
constexpr size_t kMaxSchemaBytes = 1 << 20;

// White space and control characters separate the words of a header. Special tokens need no check: a name that spells
// one is still encoded as text.
bool separates_words(char c) {
    return (c >= 0 && c <= ' ') || c == 0x7f;
}

// A name from an earlier turn as one word of a header. The model may have made it up, so any name is accepted.
std::string header_word(std::string name) {
    std::replace_if(name.begin(), name.end(), separates_words, '_');
    return name;
}

// The name of a tool that is offered. Any script will do, but the model must be able to write the name in a header.
std::string tool_name(const JsonFields& function) {
    const std::string name = function.text("name").value_or("");
    if (name.empty() || name.size() > kMaxNameBytes || std::any_of(name.begin(), name.end(), separates_words))
        wrong(function.path("name"), fmt::format("1 to {} bytes without white space", kMaxNameBytes), name);
    return name;
}

// The text of a part of a message. OpenAI's APIs call such a part by several names.
std::string part_text(const JsonFields& part) {
    const std::string type = part.text("type").value_or("text");
    if (type != "text" && type != "input_text" && type != "output_text" && type != "refusal")
        wrong(part.path("type"), "text, input_text, output_text or refusal, all that is supported", type);
    const char* const key = type == "refusal" ? "refusal" : "text";
    const std::optional<std::string> text = part.text(key);
    if (!text) fail("{}: expected a string, found none", part.path(key));
    return *text;
}

// A string of JSON, as in the API, or the JSON itself.
std::string read_arguments(const JsonFields& function) {
    const Json* arguments = function.find("arguments");
    if (!arguments) fail("{}: expected a string, found none", function.path("arguments"));
    if (arguments->is_string()) return arguments->string();
    if (!arguments->is_object()) wrong(function.path("arguments"), "a string or an object", *arguments);
    return compact(arguments->text());
}

}  // namespace

std::string compact(std::string_view json) {
    std::string out;
    bool in_string = false;
    for (size_t i = 0; i < json.size(); i++) {
        if (json[i] == '"') in_string = !in_string;
        if (in_string && json[i] == '\\') out += json[i++];
        if (in_string || !separates_words(json[i])) out += json[i];
    }
    return out;
}

JsonFields required_object(const JsonFields& parent, const std::string& key) {
    const Json* value = parent.find(key);
    if (!value) fail("{}: expected an object, found none", parent.path(key));
    return {*value, parent.path(key)};
}

std::vector<JsonFields> read_objects(const JsonFields& parent, const std::string& key) {
    std::vector<JsonFields> objects;
    const Json* list = parent.find(key);
    if (!list) return objects;
    if (!list->is_array()) wrong(parent.path(key), "an array", *list);
    if (list->size() > kMaxItems)
        fail("{}: expected at most {} items, found {}", parent.path(key), kMaxItems, list->size());
    objects.reserve(size_t(list->size()));
    for (const Json& item : *list) objects.emplace_back(item, fmt::format("{}[{}]", parent.path(key), objects.size()));
    return objects;
}

void check_type(const JsonFields& object, const std::string& expected) {
    if (const std::string type = object.text("type").value_or(expected); type != expected)
        wrong(object.path("type"), fmt::format("\"{}\"", expected), type);
}

std::optional<std::string> read_content(const JsonFields& message, const std::string& key) {
    const Json* content = message.find(key);
    if (!content) return {};
    if (!content->is_array()) {
        if (!content->is_string()) wrong(message.path(key), "a string or an array of text parts", *content);
        return content->string();
    }
    std::string text;
    for (const JsonFields& part : read_objects(message, key)) text += part_text(part);
    return text;
}

std::string required_content(const JsonFields& message, const std::string& key) {
    std::optional<std::string> content = read_content(message, key);
    if (!content) fail("{}: expected a string or an array of text parts, found none", message.path(key));
    return std::move(*content);
}

FunctionTool read_function(const JsonFields& function) {
    FunctionTool tool;
    tool.name = tool_name(function);
    tool.description = function.text("description").value_or("");
    if (const Json* parameters = function.find("parameters")) {
        const JsonFields checked(*parameters, function.path("parameters"));  // must be an object
        if (parameters->text().size() > kMaxSchemaBytes)
            fail("{}: expected a schema of at most {} bytes, found {}", function.path("parameters"), kMaxSchemaBytes,
                 parameters->text().size());
        tool.parameters = parameters->text();
    }
    return tool;
}

void History::add_instructions(const std::string& text) {
    if (conversation_.messages.empty()) {
        std::optional<std::string>& all = conversation_.instructions;
        all = (all ? *all + "\n\n" : "") + text;
        return;
    }
    Message later;
    later.role = Role::kDeveloper;
    later.content = "# Instructions\n\n" + text;
    conversation_.messages.push_back(std::move(later));
}

void History::add_user(std::string text, std::string name) {
    Message user;
    user.role = Role::kUser;
    user.content = std::move(text);
    user.name = header_word(std::move(name));
    conversation_.messages.push_back(std::move(user));
}

void History::add_assistant(const std::string& channel, std::string text) {
    Message message;
    message.role = Role::kAssistant;
    message.channel = channel;
    message.content = std::move(text);
    conversation_.messages.push_back(std::move(message));
}

void History::add_call(std::string id, const JsonFields& function) {
    const std::string name = header_word(function.text("name").value_or(""));
    if (name.empty()) fail("{}: expected the tool's name, found none", function.path("name"));
    calls_.push_back({std::move(id), "functions." + name});

    add_assistant("commentary", read_arguments(function));
    conversation_.messages.back().recipient = calls_.back().name;
    conversation_.messages.back().content_type = "<|constrain|>json";
}

void History::add_result(const std::string& id, const std::string& name, const std::string& id_path, std::string text) {
    Message result;
    result.role = Role::kTool;
    result.name = answered_tool(id, header_word(name), id_path);
    result.recipient = "assistant";
    result.channel = "commentary";
    result.content = std::move(text);
    conversation_.messages.push_back(std::move(result));
}

std::string History::answered_tool(const std::string& id, const std::string& name, const std::string& id_path) {
    Call* answered = nullptr;
    for (Call& call : calls_)
        if (!id.empty() && call.id == id) answered = &call;
    if (!answered && !name.empty()) return "functions." + name;
    for (Call& call : calls_)
        if (!answered && !call.has_result) answered = &call;
    if (!answered) fail("{}: expected the id of an earlier tool call", id_path);
    answered->has_result = true;
    return answered->name;
}
