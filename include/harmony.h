// harmony.h: the chat format of gpt-oss: messages to token ids, generated ids to messages.
//
// Messages become ids directly, never one big string first, so that text which spells a special token stays text.
// Renders as the harmony library does, but drops from history what the format document says.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer.h"
#include "utf8_stream.h"

enum class Role { kSystem, kDeveloper, kUser, kAssistant, kTool };
enum class Effort { kLow, kMedium, kHigh };

struct Message {
    Role role = Role::kUser;
    std::string name;          // kTool: the tool, "functions.get_weather"; else optional ("role:name")
    std::string recipient;     // "" or "all": everyone; in a call the tool, in a tool's result "assistant"
    std::string channel;       // kAssistant: "analysis", "commentary", "final"; kTool: "commentary"
    std::string content_type;  // "json", "<|constrain|>json"
    std::string content;       // UTF-8
};

// Whom a message of an answer is for.
enum class Audience {
    kReader,     // the user: the final channel, a preamble to calls, and whatever is not one of the next three
    kReasoning,  // the analysis channel
    kTool,       // a call: the recipient is "functions." and the tool's name
    kNobody,     // the model made it up in another's name: a user's question, a tool's result
};
Audience audience_of(const Message& message);
// The name of the tool that a message for kTool calls, without "functions.".
std::string called_tool(const Message& call);

struct FunctionTool {
    std::string name;  // without "functions."
    std::string description;
    std::string parameters;  // JSON schema of an object; "" or null: takes no arguments
};

// What a conversation starts with: the system and the developer message.
struct Preamble {
    std::string identity = "You are ChatGPT, a large language model trained by OpenAI.";
    std::string knowledge_cutoff = "2024-06";  // "": line left out
    std::string current_date;                  // YYYY-MM-DD; "": line left out
    Effort effort = Effort::kMedium;
    std::string instructions;  // the developer message's; "": none
    std::vector<FunctionTool> tools;
};

// Ids of the special tokens that give a conversation its structure.
struct HarmonyTokens {
    // Throws Error if the tokenizer lacks one that a prompt needs.
    explicit HarmonyTokens(const Tokenizer& tokenizer);

    int start, message, channel, constrain, end, call;
    std::optional<int> done, endoftext;  // `<|return|>`, `<|endoftext|>`
};

class HarmonyRenderer {
  public:
    // Keeps a reference to the tokenizer. Throws Error if it lacks one of the special tokens that a prompt needs.
    explicit HarmonyRenderer(const Tokenizer& tokenizer);

    // A whole prompt: preamble, the conversation's messages without what history drops, and `<|start|>assistant`.
    // `messages` holds user, assistant and tool messages, and developer messages that come later. Throws Error for a
    // schema that is not a JSON object, a tool message without a name, text that is not UTF-8.
    std::vector<int> render_prompt(const Preamble& preamble, const std::vector<Message>& messages) const;

    // One message, as it stands in a conversation, terminator included.
    std::vector<int> render(const Message& message) const;

    // The header of a final message, after the role.
    std::vector<int> final_header() const;

    // Ids that end an answer: return, call, endoftext (those that the tokenizer has).
    std::vector<int> stop_ids() const;

  private:
    void append_text(std::vector<int>& ids, std::string_view text) const;
    const Tokenizer& tokenizer_;
    const HarmonyTokens tokens_;
};

// As the system message says it: "low", "medium" or "high".
std::string_view effort_word(Effort effort);
// The system and developer messages' texts; "" for a developer message that would be empty.
std::string system_text(const Preamble& preamble);
std::string developer_text(const Preamble& preamble);
// The history rule: the chain of thought is dropped from every assistant turn that has ended in `final`. Calls stay.
std::vector<Message> drop_old_analysis(const std::vector<Message>& messages);

// What the headers of an answer may say.
struct HeaderRules {
    std::vector<std::string> tools;  // that may be called, without "functions."
    bool must_call = false;          // one of them, before it says anything but reasoning
    bool may_reason = true;          // before it calls, if it must
};

// Which ids can come next in an answer whose headers keep to the format and to the rules. Text within messages is free:
// what a message says, and where it ends. Headers are as the model writes them:
//
//     <|channel|>analysis<|message|>    <|channel|>final<|message|>    <|channel|>commentary<|message|>
//     <|channel|>commentary to=functions.NAME <|constrain|>json<|message|>
//      to=functions.NAME<|channel|>commentary <|constrain|>json<|message|>
class HeaderAutomaton {
  public:
    // Begins where a prompt ends, after the role. Throws Error if the tokenizer lacks a special token.
    HeaderAutomaton(const Tokenizer& tokenizer, const HeaderRules& rules);
    void feed(int id);
    // Ascending; null: any id can.
    std::shared_ptr<const std::vector<int>> allowed() const { return nodes_[size_t(at_)].allowed; }
    // False within text that comes before a call which must be: what ends an answer must not come next.
    bool may_end() const { return at_ != kFree || !owes_call(); }

  private:
    enum Opens { kNothing, kReasoning, kPreamble, kFinal, kCall };
    struct Node {
        std::map<int, int> next;
        Opens opens = kNothing;  // the message that begins here
        std::shared_ptr<const std::vector<int>> allowed;
    };
    static constexpr int kFree = 0;  // the node within messages

    int add_node();
    int add_path(int from, const std::vector<int>& ids);
    int add_headers(const Tokenizer& tokenizer, const std::vector<std::string>& tools, bool reasoning, bool text);
    int add_start(const Tokenizer& tokenizer, int headers);
    int follow(int node, int id) const;
    bool owes_call() const { return must_call_ && !has_called_; }

    const HarmonyTokens tokens_;
    const bool must_call_;
    std::vector<Node> nodes_;
    int any_, call_;                             // where headers begin, after the role: of any message; of a call
    int start_any_, start_call_, start_or_end_;  // before `<|start|>`; the last may also end the answer
    int at_;
    bool has_called_ = false, has_final_ = false;
};

struct HarmonyHeader;

// Reads generated ids one by one; begins inside the header of an assistant message, where a prompt ends.
//
// It is lenient: it never throws and loses no text. A header without its `<|message|>` becomes text, and so does text
// outside any message. It drops only white space, words of header syntax ("to=", a repeated name or channel, a call cut
// off in its header), and special tokens that mean nothing where they are.
class HarmonyParser {
  public:
    // Keeps a reference to the tokenizer. `tools` are the tools' names in the prompt, without "functions.": names in
    // headers are matched against them. Throws Error if the tokenizer lacks a special token that a prompt needs.
    explicit HarmonyParser(const Tokenizer& tokenizer, std::vector<std::string> tools = {});
    ~HarmonyParser();

    // What one more id adds. Text comes in whole UTF-8 characters; bytes that are not UTF-8 become U+FFFD.
    struct Delta {
        Audience audience = Audience::kReader;  // of the message that `text` belongs to
        std::string channel;
        std::string recipient;
        std::string text;  // may be empty
        bool message_done = false;
    };
    Delta feed(int id);
    // The end of generation: closes an open message, and gives what text was held back.
    Delta finish();

    // Messages so far; the last one may still be open.
    const std::vector<Message>& messages() const { return messages_; }

  private:
    void open_message(Message message);
    Delta current(const std::string& text) const;
    Delta close_message(bool is_call);
    Delta start_channel();

    const Tokenizer& tokenizer_;
    const HarmonyTokens tokens_;
    const std::vector<std::string> tools_;
    std::unique_ptr<HarmonyHeader> header_;  // of the message to come; null within content
    bool header_calls_ = false;              // in a part before its last
    Utf8Stream utf8_;
    std::vector<Message> messages_;
};
