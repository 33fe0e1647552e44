// tokenizer.cpp: text to ids and back: special tokens, pieces, BPE.
#include "tokenizer.h"

#include <algorithm>
#include <climits>

#include "base/utf8.h"
#include "error.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/impl.h"
#include "text/tokenizer/pretokenize.h"

namespace {

// Offsets into a piece are 32 bits wide. This is far more than a context holds.
constexpr size_t kMaxTextBytes = INT_MAX;

void check_text(std::string_view text) {
    if (text.size() > kMaxTextBytes) fail("text: expected at most {} bytes, found {}", kMaxTextBytes, text.size());
    const size_t n_valid = utf8_valid_prefix(text);
    if (n_valid < text.size())
        fail("text: expected UTF-8, found byte 0x{:02x} at offset {}", uint8_t(text[n_valid]), n_valid);
}

}  // namespace

Tokenizer::Impl::Impl(Vocabulary v) : vocabulary(std::move(v)), pretokenizer(vocabulary.pattern, vocabulary.source) {
    for (const Special& special : vocabulary.specials) {
        by_id.push_back(&special);
        by_name.push_back(&special);
        lengths.push_back(special.name.size());
        begins[static_cast<unsigned char>(special.name[0])] = true;
    }
    // The sort is stable, so that the first name of an id stays its first.
    std::stable_sort(by_id.begin(), by_id.end(), [](const Special* a, const Special* b) { return a->id < b->id; });
    std::sort(by_name.begin(), by_name.end(), [](const Special* a, const Special* b) { return a->name < b->name; });
    std::sort(lengths.begin(), lengths.end(), std::greater<>());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
}

const Special* Tokenizer::Impl::special_of(int id) const {
    const auto it = std::lower_bound(by_id.begin(), by_id.end(), id, [](const Special* s, int i) { return s->id < i; });
    return it != by_id.end() && (*it)->id == id ? *it : nullptr;
}

const Special* Tokenizer::Impl::special_named(std::string_view name) const {
    const auto it = std::lower_bound(by_name.begin(), by_name.end(), name,
                                     [](const Special* s, std::string_view n) { return s->name < n; });
    return it != by_name.end() && (*it)->name == name ? *it : nullptr;
}

const Special* Tokenizer::Impl::special_at(std::string_view text) const {
    if (!begins[static_cast<unsigned char>(text[0])]) return nullptr;
    for (const size_t length : lengths)
        if (length <= text.size())
            if (const Special* special = special_named(text.substr(0, length))) return special;
    return nullptr;
}

void Tokenizer::Impl::encode(std::string_view text, std::vector<int>& ids) const {
    pretokenizer.split(text, [&](std::string_view piece) { bpe_encode(vocabulary.tokens, piece, ids); });
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<int> Tokenizer::encode(std::string_view text) const {
    check_text(text);
    std::vector<int> ids;
    impl_->encode(text, ids);
    return ids;
}

std::vector<int> Tokenizer::encode_with_special(std::string_view text) const {
    check_text(text);
    std::vector<int> ids;
    size_t begin = 0;  // where the text after the last special token begins
    for (size_t pos = 0; pos < text.size();) {
        const Special* const special = impl_->special_at(text.substr(pos));
        if (!special) {
            pos++;
            continue;
        }
        impl_->encode(text.substr(begin, pos - begin), ids);
        ids.push_back(special->id);
        begin = pos += special->name.size();
    }
    impl_->encode(text.substr(begin), ids);
    return ids;
}

std::string_view Tokenizer::bytes(int id) const {
    const std::string_view bytes = impl_->vocabulary.tokens.bytes(id);
    if (!bytes.empty()) return bytes;
    const Special* const special = impl_->special_of(id);
    return special ? std::string_view(special->name) : std::string_view();
}

std::string Tokenizer::decode(const std::vector<int>& ids) const {
    std::string text;
    for (const int id : ids) text += bytes(id);
    return text;
}

bool Tokenizer::is_special(int id) const {
    return impl_->special_of(id) != nullptr;
}

std::optional<int> Tokenizer::special(std::string_view name) const {
    const Special* const special = impl_->special_named(name);
    return special ? std::optional<int>(special->id) : std::nullopt;
}

int Tokenizer::id_limit() const {
    return impl_->vocabulary.id_limit();
}

std::string Tokenizer::to_json() const {
    return write_tokenizer_json(impl_->vocabulary);
}

std::string Tokenizer::to_vocab_json() const {
    return write_vocab_json(impl_->vocabulary);
}

std::string Tokenizer::to_merges() const {
    return write_merges(impl_->vocabulary);
}

std::string Tokenizer::to_llmc() const {
    return write_llmc_tokenizer(impl_->vocabulary);
}

std::string Tokenizer::serialize() const {
    return serialize_vocabulary(impl_->vocabulary);
}
