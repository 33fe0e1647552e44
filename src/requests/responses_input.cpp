// responses_input.cpp: the items of a Responses request, and of the turns before it, as harmony messages.
#include <algorithm>
#include <deque>

#include "base/base64.h"
#include "base/utf8.h"
#include "error.h"
#include "requests/encode_request.h"
#include "requests/responses_request.h"

namespace {

constexpr std::string_view kOurReasoning = "plain.";  // begins an encrypted_content of this program

// Items about tools that this program does not have. Codex sends them back when another model has used such tools.
constexpr std::string_view kSkippedItems[] = {
    "custom_tool_call",   "custom_tool_call_output",
    "local_shell_call",   "local_shell_call_output",
    "web_search_call",    "image_generation_call",
    "tool_search_call",   "tool_search_output",
    "ghost_snapshot",     "compaction",
    "compaction_summary", "additional_tools",
};

bool is_skipped(std::string_view type) {
    return std::find(std::begin(kSkippedItems), std::end(kSkippedItems), type) != std::end(kSkippedItems);
}

class InputReader {
  public:
    InputReader(const ResponseStore* store, ResponseBody& read)
        : store_(store), read_(read), history_(read.conversation) {}

    void add_turns(const std::string& previous_id, const std::string& path) {
        const std::optional<std::vector<ResponseTurn>> turns = store_ ? store_->turns(previous_id) : std::nullopt;
        if (!turns)
            throw CodedError("previous_response_not_found",
                             fmt::format("{}: expected the id of a response that is stored, found {}", path,
                                         shown(std::string_view(previous_id))));
        for (const ResponseTurn& turn : *turns)
            for (const std::string& item : *turn) add_text(item, fmt::format("{}[{}]", path, items_.size()));
        earlier_ = *turns;  // keeps the texts
    }

    void add_input(const JsonFields& body) {
        const Json* input = body.find("input");
        if (!input) return;
        if (input->is_string()) {
            own_text_ = R"({"type":"message","role":"user","content":)" + std::string(input->text()) + "}";
            return add_own(JsonFields(parse_json(own_text_, "input"), body.path("input")), own_text_);
        }
        if (!input->is_array()) body.wrong("input", "a string or an array of items");
        const std::vector<JsonFields> items = read_objects(body, "input");
        size_t i = 0;
        for (const Json& item : *input) add_own(items[i++], item.text());
    }

    void read_all() {
        for (size_t i = 0; i < items_.size(); i++) read(items_[i], i + 1 < items_.size() ? &items_[i + 1] : nullptr);
    }

    std::vector<ResponseTurn> take_turns() { return std::move(earlier_); }
    std::vector<std::string> take_own() { return std::move(own_); }

  private:
    // An item without a type is a message if it has a role, and else a reference.
    static std::string type_of(const JsonFields& item) {
        return item.text("type").value_or(item.has("role") || !item.has("id") ? "message" : "item_reference");
    }

    void add_text(const std::string& text, const std::string& path) {
        items_.emplace_back(parse_json(text, path), path);
    }

    void add_own(const JsonFields& item, std::string_view text) {
        const bool stores = read_.response->store;
        if (type_of(item) != "item_reference") {
            if (stores) own_.emplace_back(text);
            items_.push_back(item);
            return;
        }
        const std::string id = item.text("id").value_or("");
        const std::optional<std::string> found = store_ ? store_->item(id) : std::nullopt;
        if (!found)
            fail("{}: expected the id of an item in a response that is stored, found {}", item.path("id"),
                 shown(std::string_view(id)));
        if (stores) own_.push_back(*found);
        referenced_.push_back(*found);
        add_text(referenced_.back(), item.path("id"));
    }

    void read(const JsonFields& item, const JsonFields* next) {
        const std::string type = type_of(item);
        if (type == "message") return read_message(item, next);
        if (type == "reasoning") return read_reasoning(item);
        if (type == "function_call")
            return history_.add_call(item.text(item.either("call_id", "id")).value_or(""), item);
        if (type == "function_call_output")
            return history_.add_result(item.text("call_id").value_or(""), "", item.path("call_id"),
                                       required_content(item, "output"));
        if (!is_skipped(type))
            wrong(item.path("type"), "message, reasoning, function_call, function_call_output or item_reference", type);
        read_.skipped.push_back(fmt::format("input[] of type {}", type));
    }

    void read_message(const JsonFields& item, const JsonFields* next) {
        const std::string role = item.text("role").value_or("");
        std::string text = required_content(item);
        if (role == "user") return history_.add_user(std::move(text));
        if (role == "system" || role == "developer") return history_.add_instructions(text);
        if (role != "assistant") wrong(item.path("role"), "user, assistant, system or developer", role);
        if (text.empty()) return;
        // Clients that drop the phase still send what followed.
        const std::string next_type = next ? type_of(*next) : "";
        const bool goes_on = next_type == "function_call" || next_type == "reasoning";
        const std::string phase = item.text("phase").value_or(goes_on ? "commentary" : "final_answer");
        if (phase != "commentary" && phase != "final_answer")
            wrong(item.path("phase"), "commentary or final_answer", phase);
        history_.add_assistant(phase == "commentary" ? "commentary" : "final", std::move(text));
    }

    void read_reasoning(const JsonFields& item) {
        std::string text = texts_of(item, "content");
        if (text.empty()) text = reasoning_in(item.text("encrypted_content").value_or("")).value_or("");
        if (text.empty()) text = texts_of(item, "summary");
        if (!text.empty()) history_.add_assistant("analysis", std::move(text));
    }

    // The texts of a list of parts, whatever type they are.
    static std::string texts_of(const JsonFields& item, const std::string& key) {
        std::string all;
        for (const JsonFields& part : read_objects(item, key)) {
            const std::string text = part.text("text").value_or("");
            all += (all.empty() || text.empty() ? "" : "\n") + text;
        }
        return all;
    }

    const ResponseStore* const store_;
    ResponseBody& read_;
    History history_;
    std::vector<ResponseTurn> earlier_;
    std::string own_text_;                // a string as an item
    std::deque<std::string> referenced_;  // a deque, as items point into its texts
    std::vector<JsonFields> items_;       // point into the texts above
    std::vector<std::string> own_;
};

}  // namespace

void read_response_input(const JsonFields& body, const ResponseStore* store, ResponseBody& read) {
    InputReader reader(store, read);
    if (const std::optional<std::string> id = body.text("previous_response_id"))
        reader.add_turns(*id, body.path("previous_response_id"));
    reader.add_input(body);
    if (const std::optional<std::string> instructions = body.text("instructions"))
        read.conversation.instructions = *instructions;
    reader.read_all();
    if (!read.response->store) return;
    read.response->turns = reader.take_turns();
    read.response->input = reader.take_own();
}

std::string encrypted_content(const std::string& reasoning) {
    std::string out(kOurReasoning);
    append_base64(out, reasoning);
    return out;
}

std::optional<std::string> reasoning_in(const std::string& encrypted_content) {
    if (encrypted_content.compare(0, kOurReasoning.size(), kOurReasoning) != 0) return {};
    std::string text;
    const bool decodes = decode_base64(std::string_view(encrypted_content).substr(kOurReasoning.size()), text);
    if (!decodes || utf8_valid_prefix(text) < text.size()) return {};
    return text;
}
