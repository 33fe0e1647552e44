// conversation.cpp: OpenAI's chat messages and tools as harmony messages.
//
// System and developer messages both become harmony's developer message: there gpt-oss was trained to read what
// applications call the system prompt. Those before all other messages are joined, with a blank line between; a later
// one keeps its place.
#include <algorithm>

#include "error.h"
#include "requests/request_line.h"

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

// JSON without the white space between its values.
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

// A string, or text parts, joined with nothing between them. No value if absent.
std::optional<std::string> read_content(const JsonFields& message) {
    const Json* content = message.find("content");
    if (!content) return {};
    if (!content->is_array()) {
        if (!content->is_string()) wrong(message.path("content"), "a string or an array of text parts", *content);
        return content->string();
    }
    std::string text;
    for (const JsonFields& part : read_objects(message, "content")) text += part_text(part);
    return text;
}

std::string required_content(const JsonFields& message) {
    std::optional<std::string> content = read_content(message);
    if (!content) fail("{}: expected a string or an array of text parts, found none", message.path("content"));
    return std::move(*content);
}

// Reads messages one by one; remembers the calls, for their results.
class MessageReader {
  public:
    explicit MessageReader(Conversation& conversation) : conversation_(conversation) {}

    void read(const JsonFields& message) {
        const std::string role = message.text("role").value_or("");
        if (role == "system" || role == "developer") return read_instructions(message);
        if (role == "user") return read_user(message);
        if (role == "assistant") return read_assistant(message);
        if (role == "tool" || role == "function") return read_tool(message);  // "function" is the older name
        wrong(message.path("role"), "system, developer, user, assistant or tool", role);
    }

  private:
    void read_instructions(const JsonFields& message) {
        std::string text = required_content(message);
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

    void read_user(const JsonFields& message) {
        Message user;
        user.role = Role::kUser;
        user.content = required_content(message);
        user.name = header_word(message.text("name").value_or(""));
        conversation_.messages.push_back(std::move(user));
    }

    // In one turn the model writes reasoning, then text, then calls, each on its own channel.
    void read_assistant(const JsonFields& message) {
        const size_t n_before = conversation_.messages.size();
        std::string reasoning = message.text("reasoning_content").value_or("");
        if (reasoning.empty()) reasoning = message.text("reasoning").value_or("");  // the newer name
        if (reasoning.empty()) reasoning = message.text("thinking").value_or("");   // Ollama's name
        if (!reasoning.empty()) add_assistant("analysis", std::move(reasoning));

        const std::vector<JsonFields> calls = read_objects(message, "tool_calls");
        const bool has_call = message.has("function_call");  // the older form of a call, without an id
        std::optional<std::string> content = read_content(message);
        if (!content) content = message.text("refusal");
        // Text beside calls introduces them. Empty text makes a message only if there is neither a call nor reasoning:
        // else the turn goes on.
        const bool calls_any = !calls.empty() || has_call;
        const bool is_open = calls_any || conversation_.messages.size() > n_before;
        if (content && !(is_open && content->empty()))
            add_assistant(calls_any ? "commentary" : "final", std::move(*content));
        for (const JsonFields& call : calls) read_call(call);
        if (has_call) add_call("", message.object("function_call"));
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
        add_call(call.text("id").value_or(""), required_object(call, "function"));
    }

    void add_call(std::string id, const JsonFields& function) {
        const std::string name = header_word(function.text("name").value_or(""));
        if (name.empty()) fail("{}: expected the tool's name, found none", function.path("name"));
        calls_.push_back({std::move(id), "functions." + name});

        add_assistant("commentary", read_arguments(function));
        conversation_.messages.back().recipient = calls_.back().name;
        conversation_.messages.back().content_type = "<|constrain|>json";
    }

    // A string of JSON, as in the API, or the JSON itself.
    static std::string read_arguments(const JsonFields& function) {
        const Json* arguments = function.find("arguments");
        if (!arguments) fail("{}: expected a string, found none", function.path("arguments"));
        if (arguments->is_string()) return arguments->string();
        if (!arguments->is_object()) wrong(function.path("arguments"), "a string or an object", *arguments);
        return compact(arguments->text());
    }

    void read_tool(const JsonFields& message) {
        Message result;
        result.role = Role::kTool;
        result.name = answered_tool(message);
        result.recipient = "assistant";
        result.channel = "commentary";
        result.content = required_content(message);
        conversation_.messages.push_back(std::move(result));
    }

    // The latest call of that id. Clients that lose ids give the tool's name, or answer the calls in their order.
    std::string answered_tool(const JsonFields& message) {
        const std::string id = message.text("tool_call_id").value_or("");
        const std::string name = header_word(message.text("name").value_or(""));
        Call* answered = nullptr;
        for (Call& call : calls_)
            if (!id.empty() && call.id == id) answered = &call;
        if (!answered && !name.empty()) return "functions." + name;
        for (Call& call : calls_)
            if (!answered && !call.has_result) answered = &call;
        if (!answered) fail("{}: expected the id of an earlier tool call", message.path("tool_call_id"));
        answered->has_result = true;
        return answered->name;
    }

    struct Call {
        std::string id, name;
        bool has_result = false;
    };
    Conversation& conversation_;
    std::vector<Call> calls_;
};

std::vector<FunctionTool> read_tools(const JsonFields& body) {
    std::vector<FunctionTool> tools;
    for (const JsonFields& tool : read_objects(body, "tools")) {
        check_type(tool, "function");
        const JsonFields function = required_object(tool, "function");
        FunctionTool t;
        t.name = tool_name(function);
        t.description = function.text("description").value_or("");
        if (const Json* parameters = function.find("parameters")) {
            const JsonFields checked(*parameters, function.path("parameters"));  // must be an object
            if (parameters->text().size() > kMaxSchemaBytes)
                fail("{}: expected a schema of at most {} bytes, found {}", function.path("parameters"),
                     kMaxSchemaBytes, parameters->text().size());
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
    if (conversation.messages.empty() && !conversation.instructions)
        fail("{}: expected at least one message, found none", body.path("messages"));
    conversation.tools = read_tools(body);
    if (body.text("tool_choice") == "none") conversation.tools.clear();  // harmony has no other way to forbid them
    return conversation;
}
