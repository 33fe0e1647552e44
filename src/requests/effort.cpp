// effort.cpp: how much to think, as OpenAI, OpenRouter, Anthropic, Ollama and the users of chat templates write it.
#include "error.h"
#include "requests/request_body.h"

namespace {

struct Word {
    const char* name;
    Effort effort;
};
// gpt-oss knows three efforts: none without reasoning, and none between them.
constexpr Word kWords[] = {
    {"none", Effort::kLow},  {"minimal", Effort::kLow}, {"low", Effort::kLow},  {"medium", Effort::kMedium},
    {"high", Effort::kHigh}, {"xhigh", Effort::kHigh},  {"max", Effort::kHigh},
};

class EffortReader {
  public:
    // Reads the word at `key` of `object`, or true or false where those are allowed. false asks for no reasoning.
    void read(const JsonFields& object, const char* key, bool words, bool flags) {
        const Json* value = object.find(key);
        if (!value) return;
        const std::string expected = !words  ? "true or false"
                                     : flags ? "none, minimal, low, medium, high, xhigh, max, true or false"
                                             : "none, minimal, low, medium, high, xhigh or max";
        if (flags && value->is_boolean()) {
            if (!value->boolean()) add_none(object.path(key));
            return;
        }
        std::string name = words && value->is_string() ? value->string() : "";
        for (char& c : name)
            if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
        for (const Word& word : kWords)
            if (name == word.name)
                return name == "none" ? add_none(object.path(key)) : add(object.path(key), word.effort);
        object.wrong(key, expected);
    }

    void add(const std::string& path, Effort effort) {
        if (effort_ && *effort_ != effort) fail("{}: expected the effort of {}, found another", path, path_);
        effort_ = effort;
        path_ = path;
    }
    void add_none(const std::string& path) {
        add(path, Effort::kLow);
        none_ = true;
    }
    std::optional<Effort> effort() const { return effort_; }
    bool is_none() const { return none_; }

  private:
    std::optional<Effort> effort_;
    bool none_ = false;
    std::string path_;
};

// {"type": "enabled"} or "disabled", or true or false.
void read_thinking(EffortReader& reader, const JsonFields& body) {
    const Json* thinking = body.find("thinking");
    if (!thinking || !thinking->is_object()) return reader.read(body, "thinking", /*words=*/false, /*flags=*/true);
    const JsonFields fields(*thinking, body.path("thinking"));
    const std::string type = fields.text("type").value_or("enabled");
    if (type == "disabled") return reader.add_none(fields.path("type"));
    if (type != "enabled" && type != "adaptive") fields.wrong("type", "enabled, adaptive or disabled");
}

}  // namespace

std::optional<Effort> read_effort(const JsonFields& body, bool* none) {
    EffortReader reader;
    reader.read(body, "reasoning_effort", /*words=*/true, /*flags=*/false);
    if (body.has("reasoning")) {
        const JsonFields reasoning = body.object("reasoning");
        reader.read(reasoning, "effort", /*words=*/true, /*flags=*/false);
        reader.read(reasoning, "enabled", /*words=*/false, /*flags=*/true);
    }
    if (body.has("chat_template_kwargs")) {
        const JsonFields kwargs = body.object("chat_template_kwargs");
        reader.read(kwargs, "reasoning_effort", /*words=*/true, /*flags=*/false);
        reader.read(kwargs, "enable_thinking", /*words=*/false, /*flags=*/true);
        reader.read(kwargs, "thinking", /*words=*/false, /*flags=*/true);
    }
    reader.read(body, "enable_thinking", /*words=*/false, /*flags=*/true);
    reader.read(body, "think", /*words=*/true, /*flags=*/true);
    read_thinking(reader, body);
    if (none) *none = reader.is_none();
    return reader.effort();
}
