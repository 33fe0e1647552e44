// history.h: the turns of a conversation, from whichever API they are read, as harmony messages; and what reads the
// parts that those APIs share.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "requests/request_body.h"

// Appends messages to a conversation. Remembers the calls, for their results.
class History {
  public:
    explicit History(Conversation& conversation) : conversation_(conversation) {}

    // Of a system or developer message. Harmony has one message for both.
    void add_instructions(const std::string& text);
    void add_user(std::string text, std::string name = "");
    void add_assistant(const std::string& channel, std::string text);
    // `function` has the call's "name" and "arguments".
    void add_call(std::string id, const JsonFields& function);
    // The result of the latest call of that id. Clients that lose ids give the tool's name, or answer the calls in
    // their order. `id_path` is where the id stands.
    void add_result(const std::string& id, const std::string& name, const std::string& id_path, std::string text);

    size_t size() const { return conversation_.messages.size(); }  // in messages

  private:
    std::string answered_tool(const std::string& id, const std::string& name, const std::string& id_path);
    struct Call {
        std::string id, name;
        bool has_result = false;
    };
    Conversation& conversation_;
    std::vector<Call> calls_;
};

// A nested object; fails if it is absent.
JsonFields required_object(const JsonFields& parent, const std::string& key);
// A list of objects; empty if absent.
std::vector<JsonFields> read_objects(const JsonFields& parent, const std::string& key);
// Fails if the object has another type.
void check_type(const JsonFields& object, const std::string& expected);

// A string, or text parts, joined with nothing between them. No value if absent.
std::optional<std::string> read_content(const JsonFields& message, const std::string& key = "content");
std::string required_content(const JsonFields& message, const std::string& key = "content");

// JSON without the white space between its values.
std::string compact(std::string_view json);
// Reads "tool_choice" of a body, whose tools are there.
void read_tool_choice(const JsonFields& body, Conversation& conversation);

// A tool that is offered: its "name", "description" and "parameters".
FunctionTool read_function(const JsonFields& function);
