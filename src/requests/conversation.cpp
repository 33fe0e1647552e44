// conversation.cpp: OpenAI's chat messages and tools as harmony messages.
//
// System and developer messages both become harmony's developer message, as gpt-oss is trained to read what applications
// call the system prompt. They must come first; several are joined by a blank line.
#include <map>

#include "error.h"
#include "requests/request_line.h"

namespace {

constexpr size_t kMaxNameBytes = 64;
// Each message takes four tokens or more, so more than this would fill the longest context of the models.
constexpr int kMaxItems = 32768;

// Names stand in message headers, where a space or a special token would change the structure.
void check_name(const std::string& path, const std::string& name) {
    const bool good = name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
                      std::string::npos;
    if (!good || name.empty() || name.size() > kMaxNameBytes)
        wrong(path, fmt::format("1 to {} letters, digits, '_', '-' or '.'", kMaxNameBytes), name);
}

std::string required_name(const JsonFields& object, const std::string& key) {
    const std::string name = object.text(key).value_or("");
    check_name(object.path(key), name);
    return name;
}

// A nested object; fails if it is absent.
JsonFields required_object(const JsonFields& parent, const std::string& key) {
    const Json* value = parent.find(key);
    if (!value) fail("{}: expected an object, found none", parent.path(key));
    return {*value, parent.path(key)};
}

// A list of objects; empty if absent.
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

// A string, or text parts, which stand one after the other with nothing between them. No value if absent.
std::optional<std::string> read_content(const JsonFields& message) {
    const Json* content = message.find("content");
    if (!content) return {};
    if (!content->is_array()) {
        if (!content->is_string()) wrong(message.path("content"), "a string or an array of text parts", *content);
        return content->string();
    }
    std::string text;
    for (const JsonFields& part : read_objects(message, "content")) {
        check_type(part, "text");
        const std::optional<std::string> part_text = part.text("text");
        if (!part_text) fail("{}: expected a string, found none", part.path("text"));
        text += *part_text;
    }
    return text;
}

std::string required_content(const JsonFields& message) {
    std::optional<std::string> content = read_content(message);
    if (!content) fail("{}: expected a string or an array of text parts, found none", message.path("content"));
    return std::move(*content);
}

// Reads messages one by one; remembers which call has which id, for the results.
class MessageReader {
  public:
    explicit MessageReader(Conversation& conversation) : conversation_(conversation) {}

    void read(const JsonFields& message) {
        const std::string role = message.text("role").value_or("");
        if (role == "system" || role == "developer") return read_instructions(message);
        if (role == "user") return read_user(message);
        if (role == "assistant") return read_assistant(message);
        if (role == "tool") return read_tool(message);
        wrong(message.path("role"), "system, developer, user, assistant or tool", role);
    }

  private:
    void read_instructions(const JsonFields& message) {
        if (!conversation_.messages.empty())
            fail("{}: expected system and developer messages to come before all others", message.path("role"));
        std::optional<std::string>& all = conversation_.instructions;
        all = (all ? *all + "\n\n" : "") + required_content(message);
    }

    void read_user(const JsonFields& message) {
        Message user;
        user.role = Role::kUser;
        user.content = required_content(message);
        if (message.find("name")) user.name = required_name(message, "name");
        conversation_.messages.push_back(std::move(user));
    }

    // Reasoning, then text, then calls: what the model writes in one turn, each on its channel.
    void read_assistant(const JsonFields& message) {
        const size_t n_before = conversation_.messages.size();
        std::string reasoning = message.text("reasoning_content").value_or("");
        if (reasoning.empty()) reasoning = message.text("reasoning").value_or("");  // its newer name
        if (reasoning.empty()) reasoning = message.text("thinking").value_or("");   // Ollama's
        if (!reasoning.empty()) add_assistant("analysis", std::move(reasoning));

        const std::vector<JsonFields> calls = read_objects(message, "tool_calls");
        // Text beside calls is a preamble to them, and the turn is not over.
        if (std::optional<std::string> content = read_content(message); content && (calls.empty() || !content->empty()))
            add_assistant(calls.empty() ? "final" : "commentary", std::move(*content));
        for (const JsonFields& call : calls) read_call(call);
        if (conversation_.messages.size() == n_before)
            fail("{}: expected a string or an array of text parts, as there are no tool_calls; found none",
                 message.path("content"));
    }

    void add_assistant(const std::string& channel, std::string content) {
        Message message;
        message.role = Role::kAssistant;
        message.channel = channel;
        message.content = std::move(content);
        conversation_.messages.push_back(std::move(message));
    }

    void read_call(const JsonFields& call) {
        check_type(call, "function");
        const JsonFields function = required_object(call, "function");
        const std::string name = "functions." + required_name(function, "name");
        std::optional<std::string> arguments = function.text("arguments");
        if (!arguments) fail("{}: expected a string, found none", function.path("arguments"));
        if (const std::optional<std::string> id = call.text("id")) name_of_call_[*id] = name;

        add_assistant("commentary", std::move(*arguments));
        conversation_.messages.back().recipient = name;
        conversation_.messages.back().content_type = "<|constrain|>json";
    }

    void read_tool(const JsonFields& message) {
        const auto call = name_of_call_.find(message.text("tool_call_id").value_or(""));
        if (call == name_of_call_.end())
            fail("{}: expected the id of an earlier tool call", message.path("tool_call_id"));
        Message result;
        result.role = Role::kTool;
        result.name = call->second;
        result.recipient = "assistant";
        result.channel = "commentary";
        result.content = required_content(message);
        conversation_.messages.push_back(std::move(result));
    }

    Conversation& conversation_;
    std::map<std::string, std::string> name_of_call_;
};

std::vector<FunctionTool> read_tools(const JsonFields& body) {
    std::vector<FunctionTool> tools;
    for (const JsonFields& tool : read_objects(body, "tools")) {
        check_type(tool, "function");
        const JsonFields function = required_object(tool, "function");
        FunctionTool t;
        t.name = required_name(function, "name");
        t.description = function.text("description").value_or("");
        if (const Json* parameters = function.find("parameters")) {
            const JsonFields checked(*parameters, function.path("parameters"));  // must be an object
            t.parameters = parameters->text();
        }
        tools.push_back(std::move(t));
    }
    return tools;
}

}  // namespace

Conversation read_conversation(const JsonFields& body) {
    Conversation conversation;
    conversation.effort = read_effort(body);
    MessageReader reader(conversation);
    for (const JsonFields& message : read_objects(body, "messages")) reader.read(message);
    if (conversation.messages.empty())
        fail("{}: expected at least one message that is not the system's or developer's", body.path("messages"));
    conversation.tools = read_tools(body);
    if (body.text("tool_choice") == "none") conversation.tools.clear();  // harmony has no other way to forbid them
    return conversation;
}
