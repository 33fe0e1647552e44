// tool_choice.cpp: which of its tools the model may or must call, as both of OpenAI's APIs write it.
#include <algorithm>

#include "error.h"
#include "requests/history.h"

namespace {

// The tool's name in {"type": "function", "function": {"name"}}, or without the inner object.
std::string named_tool(const JsonFields& choice, const std::vector<FunctionTool>& tools) {
    const JsonFields function = choice.has("function") ? choice.object("function") : choice;
    const std::string name = function.text("name").value_or("");
    const auto is_it = [&](const FunctionTool& tool) { return tool.name == name; };
    if (std::none_of(tools.begin(), tools.end(), is_it))
        wrong(function.path("name"), "the name of one of the tools", name);
    return name;
}

// {"mode": "auto" or "required", "tools": [...]}: the others are not offered.
void allow_only(const JsonFields& allowed, Conversation& conversation) {
    const std::string mode = allowed.text("mode").value_or("auto");
    if (mode != "auto" && mode != "required") allowed.wrong("mode", "auto or required");
    std::vector<std::string> names;
    for (const JsonFields& tool : read_objects(allowed, "tools")) {
        check_type(tool, "function");
        names.push_back(named_tool(tool, conversation.tools));
    }
    if (names.empty()) fail("{}: expected at least one tool, found none", allowed.path("tools"));
    std::vector<FunctionTool>& tools = conversation.tools;
    const auto is_out = [&](const FunctionTool& tool) {
        return std::find(names.begin(), names.end(), tool.name) == names.end();
    };
    tools.erase(std::remove_if(tools.begin(), tools.end(), is_out), tools.end());
    conversation.must_call = mode == "required";
}

}  // namespace

void read_tool_choice(const JsonFields& body, Conversation& conversation) {
    const Json* choice = body.find("tool_choice");
    if (!choice) return;
    const char* const expected = "none, auto, required, or an object of type function or allowed_tools";
    if (choice->is_object()) {
        const JsonFields fields(*choice, body.path("tool_choice"));
        const std::string type = fields.text("type").value_or("function");
        if (type == "allowed_tools")
            return allow_only(fields.has("allowed_tools") ? fields.object("allowed_tools") : fields, conversation);
        if (type != "function") wrong(fields.path("type"), "function or allowed_tools", type);
        conversation.must_call_tool = named_tool(fields, conversation.tools);
        conversation.must_call = true;
        return;
    }
    const std::string word = choice->is_string() ? choice->string() : "";
    if (word == "none") return conversation.tools.clear();  // harmony has no other way to forbid them
    if (word == "auto") return;
    if (word != "required") wrong(body.path("tool_choice"), expected, *choice);
    if (conversation.tools.empty()) body.wrong("tool_choice", "none or auto, as there are no tools");
    conversation.must_call = true;
}
