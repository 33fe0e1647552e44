// conversation.cpp: OpenAI's chat messages and tools as harmony messages.
//
// System and developer messages both become harmony's developer message: there gpt-oss was trained to read what
// applications call the system prompt. Those before all other messages are joined, with a blank line between; a later
// one keeps its place.
#include "error.h"
#include "requests/history.h"
#include "requests/request_body.h"

namespace {

// The text of OpenRouter's "reasoning_details".
std::string read_details(const JsonFields& message) {
    std::string text;
    for (const JsonFields& detail : read_objects(message, "reasoning_details"))
        text += detail.text("text").value_or("");
    return text;
}

// Some clients put the reasoning in front of the text: "<think>...</think>".
void take_thoughts(std::string& content, std::string& reasoning) {
    const std::string begin = "<think>", end = "</think>", space = " \n\r\t";
    const size_t close = content.find(end);
    if (content.compare(0, begin.size(), begin) != 0 || close == std::string::npos) return;
    std::string thoughts = content.substr(begin.size(), close - begin.size());
    thoughts.erase(0, thoughts.find_first_not_of(space));
    thoughts.resize(thoughts.find_last_not_of(space) + 1);
    content.erase(0, close + end.size());
    content.erase(0, content.find_first_not_of(space));
    if (reasoning.empty()) reasoning = std::move(thoughts);
}

// Reads messages one by one.
class MessageReader {
  public:
    explicit MessageReader(Conversation& conversation) : history_(conversation) {}

    void read(const JsonFields& message) {
        const std::string role = message.text("role").value_or("");
        if (role == "system" || role == "developer") return history_.add_instructions(required_content(message));
        if (role == "user") return history_.add_user(required_content(message), message.text("name").value_or(""));
        if (role == "assistant") return read_assistant(message);
        if (role == "tool" || role == "function") return read_tool(message);  // "function" is the older name
        wrong(message.path("role"), "system, developer, user, assistant or tool", role);
    }

  private:
    // In one turn the model writes reasoning, then text, then calls, each on its own channel.
    void read_assistant(const JsonFields& message) {
        const size_t n_before = history_.size();
        std::string reasoning = message.text("reasoning_content").value_or("");
        if (reasoning.empty()) reasoning = message.text("reasoning").value_or("");  // the newer name
        if (reasoning.empty()) reasoning = message.text("thinking").value_or("");   // Ollama's name
        if (reasoning.empty()) reasoning = read_details(message);
        std::optional<std::string> content = read_content(message);
        if (!content) content = message.text("refusal");
        if (content) take_thoughts(*content, reasoning);
        if (!reasoning.empty()) history_.add_assistant("analysis", std::move(reasoning));

        const std::vector<JsonFields> calls = read_objects(message, "tool_calls");
        const bool has_call = message.has("function_call");  // the older form of a call, without an id
        // Text beside calls introduces them. Empty text makes a message only if there is neither a call nor reasoning:
        // else the turn goes on.
        const bool calls_any = !calls.empty() || has_call;
        const bool is_open = calls_any || history_.size() > n_before;
        if (content && !(is_open && content->empty()))
            history_.add_assistant(calls_any ? "commentary" : "final", std::move(*content));
        for (const JsonFields& call : calls) read_call(call);
        if (has_call) history_.add_call("", message.object("function_call"));
        if (history_.size() == n_before)
            fail("{}: expected a string or an array of text parts, as there are no tool_calls; found none",
                 message.path("content"));
    }

    void read_call(const JsonFields& call) {
        check_type(call, "function");
        history_.add_call(call.text("id").value_or(""), required_object(call, "function"));
    }

    void read_tool(const JsonFields& message) {
        std::string id = message.text("tool_call_id").value_or("");
        std::string name = message.text("name").value_or("");
        history_.add_result(id, name, message.path("tool_call_id"), required_content(message));
    }

    History history_;
};

std::vector<FunctionTool> read_tools(const JsonFields& body) {
    std::vector<FunctionTool> tools;
    for (const JsonFields& tool : read_objects(body, "tools")) {
        check_type(tool, "function");
        tools.push_back(read_function(required_object(tool, "function")));
    }
    return tools;
}

}  // namespace

Conversation read_conversation(const JsonFields& body) {
    Conversation conversation;
    conversation.effort = read_effort(body, &conversation.skips_reasoning);
    MessageReader reader(conversation);
    for (const JsonFields& message : read_objects(body, "messages")) reader.read(message);
    if (conversation.messages.empty() && !conversation.instructions)
        fail("{}: expected at least one message, found none", body.path("messages"));
    conversation.tools = read_tools(body);
    read_tool_choice(body, conversation);
    return conversation;
}
