// read_json.cpp: reads Hugging Face's tokenizer.json: model.vocab, added_tokens and the Split of pre_tokenizer.
//
// Parsed as a stream of events, without a tree: of the 28 MB that the file of gpt-oss has, most is model.merges, which
// say nothing that the ids do not, and are passed over. Whatever else would change the ids is refused.
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/utf8.h"
#include "error.h"
#include "text/tokenizer/vocabulary.h"

namespace {

using nlohmann::json;

// The objects and arrays that matter, and where they stand.
enum class In {
    kOutside,
    kOther,
    kRoot,
    kModel,
    kVocab,
    kAddedTokens,
    kAddedToken,
    kNormalizer,
    kPreTokenizer,
    kPreTokenizers,
    kPattern,
};

constexpr struct {
    In parent;
    std::string_view key;  // "": an element of an array
    In child;
    bool is_array;
} kNesting[] = {
    {In::kOutside, "", In::kRoot, false},
    {In::kRoot, "model", In::kModel, false},
    {In::kModel, "vocab", In::kVocab, false},
    {In::kRoot, "added_tokens", In::kAddedTokens, true},
    {In::kAddedTokens, "", In::kAddedToken, false},
    {In::kRoot, "normalizer", In::kNormalizer, false},
    {In::kRoot, "pre_tokenizer", In::kPreTokenizer, false},
    {In::kPreTokenizer, "pretokenizers", In::kPreTokenizers, true},  // of a Sequence
    {In::kPreTokenizers, "", In::kPreTokenizer, false},
    {In::kPreTokenizer, "pattern", In::kPattern, false},
};

constexpr size_t kMaxDepth = 64;

// The inverse of GPT-2's byte-level alphabet: printable Latin-1 stands for itself, the other 68 bytes, in order, are
// U+0100 and on. -1: not in the alphabet.
constexpr std::array<int, 0x144> byte_level_alphabet() {
    std::array<int, 0x144> byte_of{};
    for (int& byte : byte_of) byte = -1;
    int next = 0x100;
    for (int b = 0; b < 256; b++) {
        const bool is_printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
        byte_of[size_t(is_printable ? b : next++)] = b;
    }
    return byte_of;
}
constexpr std::array<int, 0x144> kByteOf = byte_level_alphabet();

// False if `text`, which is UTF-8, has a character outside the alphabet.
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

class Reader : public nlohmann::json_sax<json> {
  public:
    explicit Reader(const std::string& source) : source_(source) {}

    Vocabulary vocabulary() const;

    bool start_object(size_t) override { return open(false); }
    bool start_array(size_t) override { return open(true); }
    bool key(std::string& k) override {
        levels_.back().key.swap(k);
        return true;
    }
    bool end_object() override {
        if (in() == In::kAddedToken) {
            if (!added_id_ || !added_content_) fail("{}: added_tokens: expected an id and a content in each", source_);
            added_.emplace_back(*added_id_, *added_content_);
        }
        levels_.pop_back();
        return true;
    }
    bool end_array() override {
        levels_.pop_back();
        return true;
    }

    bool number_unsigned(uint64_t n) override { return n <= INT64_MAX ? integer(int64_t(n)) : not_an_id(); }
    bool number_integer(int64_t n) override { return integer(n); }
    bool number_float(double, const std::string&) override { return not_an_id(); }
    bool null() override { return not_an_id(); }
    bool binary(json::binary_t&) override { return not_an_id(); }
    bool boolean(bool value) override;
    bool string(std::string& value) override;

    bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
        fail("{}: byte {}: expected JSON, found something else", source_, position);
    }

  private:
    struct Level {
        In in;
        std::string key;  // of an object, the one that was read last
    };

    In in() const { return levels_.empty() ? In::kOutside : levels_.back().in; }
    bool at(In where, std::string_view key) const { return in() == where && levels_.back().key == key; }
    bool open(bool is_array);
    bool integer(int64_t n);
    bool not_an_id() const;

    std::string source_;
    std::vector<Level> levels_;
    std::vector<std::pair<std::string, int64_t>> vocab_;  // byte-level text and id
    std::vector<std::pair<int64_t, std::string>> added_;
    std::optional<int64_t> added_id_;  // of the added token that is being read
    std::optional<std::string> added_content_;
    std::optional<std::string> pattern_;
};

bool Reader::open(bool is_array) {
    if (levels_.size() == kMaxDepth) fail("{}: expected JSON at most {} levels deep, found more", source_, kMaxDepth);
    const std::string_view key = levels_.empty() ? std::string_view() : std::string_view(levels_.back().key);
    In child = In::kOther;
    for (const auto& nesting : kNesting) {
        if (in() != nesting.parent || key != nesting.key) continue;
        if (is_array != nesting.is_array)
            fail("{}: {}: expected an {}, found an {}", source_, key.empty() ? "array element" : key,
                 nesting.is_array ? "array" : "object", is_array ? "array" : "object");
        child = nesting.child;
    }
    if (in() == In::kVocab) fail("{}: model.vocab: expected an id for each token, found an object or array", source_);
    if (child == In::kNormalizer) fail("{}: normalizer: expected null, found an object", source_);
    if (child == In::kAddedToken) added_id_.reset(), added_content_.reset();
    levels_.push_back({child, {}});
    return true;
}

bool Reader::integer(int64_t n) {
    if (in() == In::kVocab) vocab_.emplace_back(levels_.back().key, n);
    if (at(In::kAddedToken, "id")) added_id_ = n;
    return true;
}

bool Reader::not_an_id() const {
    if (in() == In::kVocab) fail("{}: model.vocab: expected integer ids, found another value", source_);
    return true;
}

// What the pre_tokenizer of gpt-oss says, and of any other that these rules can serve.
bool Reader::boolean(bool value) {
    for (const std::string_view key : {"invert", "use_regex", "add_prefix_space"})
        if (at(In::kPreTokenizer, key) && value)
            fail("{}: pre_tokenizer: {}: expected false, found true", source_, key);
    return not_an_id();
}

bool Reader::string(std::string& value) {
    if (at(In::kAddedToken, "content")) added_content_ = std::move(value);
    if (at(In::kModel, "type") && value != "BPE") fail("{}: model.type: expected BPE, found another", source_);
    if (at(In::kPreTokenizer, "behavior") && value != "Isolated")
        fail("{}: pre_tokenizer: behavior: expected Isolated, found another", source_);
    if (at(In::kPattern, "Regex")) {
        if (pattern_) fail("{}: pre_tokenizer: expected one Split, found two", source_);
        pattern_ = std::move(value);
    }
    return not_an_id();
}

Vocabulary Reader::vocabulary() const {
    if (vocab_.empty()) fail("{}: model.vocab: expected tokens and their ids, found none", source_);
    if (!pattern_) fail("{}: pre_tokenizer: expected a Split with a Regex pattern, found none", source_);
    Vocabulary vocabulary(source_);
    vocabulary.pattern = *pattern_;
    std::map<int64_t, std::string_view> added;
    for (const auto& [id, content] : added_) {
        added.emplace(id, content);
        vocabulary.add_special(id, content);
    }
    std::string bytes;
    for (const auto& [text, id] : vocab_) {
        const auto special = added.find(id);
        if (special != added.end() && special->second == text) continue;  // some files list added tokens here, too
        if (!decode_byte_level(text, bytes))
            fail("{}: model.vocab: token {}: expected the byte-level alphabet, found another character", source_, id);
        vocabulary.add_token(id, bytes);
    }
    vocabulary.check();
    return vocabulary;
}

}  // namespace

bool looks_like_json(std::string_view data) {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (data.substr(0, 3) == kByteOrderMark) data.remove_prefix(3);
    const size_t first = data.find_first_not_of(" \t\r\n");
    return first != std::string_view::npos && data[first] == '{';
}

Vocabulary read_tokenizer_json(std::string_view data, const std::string& source) {
    Reader reader(source);
    json::sax_parse(data.begin(), data.end(), &reader);
    return reader.vocabulary();
}
