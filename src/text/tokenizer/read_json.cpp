// read_json.cpp: reads Hugging Face's tokenizer.json: model.vocab, added_tokens and the Split of pre_tokenizer.
//
// model.merges, most of the 28 MB of gpt-oss's file, is skipped: it says nothing that the ids do not say. Any other
// field that would change the ids is refused.
#include <map>

#include "base/json_fields.h"
#include "error.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/pretokenize.h"
#include "text/tokenizer/vocabulary.h"

namespace {

std::optional<int64_t> integer(const Json* value) {
    return value && value->is_number() ? value->integer() : std::nullopt;
}

// The elements of a list; none if it is absent.
Json list_at(const JsonFields& object, const char* key) {
    const Json* list = object.find(key);
    if (list && !list->is_array()) object.wrong(key, "an array");
    return list ? *list : parse_json("[]", key);
}

struct PreTokenizer {
    std::optional<std::string> pattern;  // of the one Split, alone or in a Sequence
    bool splits_as_gpt2 = false;         // a ByteLevel without a Split does, unless it says otherwise
    bool splits_otherwise = false;       // by a pattern that is no Regex
    std::string use_regex;               // where a ByteLevel asks for it; "": none does
};

// Refuses what this program cannot do.
void read_pre_tokenizer(const JsonFields& f, PreTokenizer& pre) {
    for (const char* key : {"invert", "add_prefix_space"})
        if (f.boolean_or(key, false)) f.wrong(key, "false");
    if (f.string_or("behavior", "Isolated") != "Isolated") f.wrong("behavior", "Isolated");
    const std::string type = f.string_or("type", "");
    if (!type.empty() && type != "Sequence" && type != "Split" && type != "ByteLevel")
        f.wrong("type", "Sequence, Split or ByteLevel");
    if (type == "ByteLevel" && f.boolean_or("use_regex", true)) pre.splits_as_gpt2 = true;
    if (f.boolean_or("use_regex", false)) pre.use_regex = f.path("use_regex");
    if (f.has("pattern")) {
        std::optional<std::string> regex = f.object("pattern").text("Regex");
        if (regex && pre.pattern) f.wrong("pattern", "one Split in all");
        if (regex)
            pre.pattern = std::move(regex);
        else
            pre.splits_otherwise = true;
    }
    for (const Json& part : list_at(f, "pretokenizers")) read_pre_tokenizer({part, f.path("pretokenizers[]")}, pre);
}

// Adds the added tokens and returns them by id: the first one, where several have the same id.
std::map<int64_t, std::string> add_added_tokens(Vocabulary& vocabulary, const JsonFields& root) {
    std::map<int64_t, std::string> added;
    for (const Json& item : list_at(root, "added_tokens")) {
        const JsonFields token(item, root.path("added_tokens[]"));
        const std::optional<int64_t> id = integer(token.find("id"));
        const std::optional<std::string> content = token.text("content");
        if (!id || !content) fail("{}: expected an id and a content in each", root.path("added_tokens"));
        vocabulary.add_special(*id, *content);
        added.emplace(*id, *content);
    }
    return added;
}

void add_vocab(Vocabulary& vocabulary, const Json& vocab, const std::map<int64_t, std::string>& added) {
    std::string bytes;
    vocab.each_member([&](const std::string& text, const Json& value) {
        const std::optional<int64_t> id = integer(&value);
        if (!id) fail("{}: model.vocab: expected integer ids, found {}", vocabulary.source, shown(value));
        const auto special = added.find(*id);
        if (special != added.end() && special->second == text) return;  // some files list added tokens here, too
        if (!decode_byte_level(text, bytes))
            fail("{}: model.vocab: token {}: expected the byte-level alphabet, found another character",
                 vocabulary.source, *id);
        vocabulary.add_token(*id, bytes);
    });
}

}  // namespace

bool decode_byte_level(std::string_view text, std::string& bytes) {
    bytes.clear();
    for (size_t i = 0; i < text.size(); i++) {
        size_t code_point = static_cast<unsigned char>(text[i]);
        if (code_point >= 0xe0) return false;
        if (code_point >= 0x80) code_point = (code_point & 0x1f) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f);
        if (code_point >= kByteOf.size() || kByteOf[code_point] < 0) return false;
        bytes += static_cast<char>(kByteOf[code_point]);
    }
    return true;
}

bool looks_like_json(std::string_view data) {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (data.substr(0, 3) == kByteOrderMark) data.remove_prefix(3);
    const size_t first = data.find_first_not_of(" \t\r\n");
    return first != std::string_view::npos && data[first] == '{';
}

Vocabulary read_tokenizer_json(std::string_view data, const std::string& source) {
    const JsonFields root(parse_json(data, source), source, ": ");
    if (root.has("stoi_to_token"))
        fail("{}: expected a tokenizer, found HipGPT's, which loses white space and belongs to no other model", source);
    if (root.has("normalizer")) root.wrong("normalizer", "null");
    const JsonFields model = root.object("model");
    if (model.string_or("type", "BPE") != "BPE") model.wrong("type", "BPE");
    const Json* vocab = model.find("vocab");
    if (!vocab || !vocab->is_object()) model.wrong("vocab", "an object of tokens and their ids");

    PreTokenizer pre;
    if (root.has("pre_tokenizer")) read_pre_tokenizer(root.object("pre_tokenizer"), pre);
    if (pre.pattern && !pre.use_regex.empty()) fail("{}: expected false, found true", pre.use_regex);
    if (pre.splits_otherwise || (!pre.pattern && !pre.splits_as_gpt2))
        fail("{}: expected a Split with a Regex pattern, found none", root.path("pre_tokenizer"));

    Vocabulary vocabulary(source);
    vocabulary.pattern = pre.pattern.value_or(std::string(kGpt2Pattern));
    add_vocab(vocabulary, *vocab, add_added_tokens(vocabulary, root));
    vocabulary.check();
    return vocabulary;
}
