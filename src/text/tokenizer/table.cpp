// table.cpp: the hash function, and linear probing around it.
#include "text/tokenizer/table.h"

#include <cassert>
#include <cstring>

namespace {

template <class Word>
uint64_t load(const char* p) {
    Word w;
    std::memcpy(&w, p, sizeof w);
    return w;
}

// Multiplies by an odd constant (2^64 over the golden ratio) and folds the well-mixed upper half down.
uint64_t mix(uint64_t x) {
    x *= 0x9e3779b97f4a7c15;
    return x ^ (x >> 32);
}

// Eight bytes a step; the rest, and short strings, by two loads that may overlap.
uint32_t hash_of(std::string_view s) {
    const char* p = s.data();
    size_t n = s.size();
    uint64_t h = n;
    for (; n > 8; n -= 8, p += 8) h = mix(h ^ load<uint64_t>(p));
    uint64_t tail;
    if (n >= 4)
        tail = load<uint32_t>(p) | load<uint32_t>(p + n - 4) << 32;
    else
        tail = load<uint8_t>(p) | load<uint8_t>(p + n / 2) << 8 | load<uint8_t>(p + n - 1) << 16;
    return uint32_t(mix(mix(h ^ tail)));
}

}  // namespace

void TokenTable::add(int id, std::string_view bytes) {
    assert(id >= 0 && !bytes.empty() && this->bytes(id).empty() && find(bytes) < 0);
    if (id >= id_limit()) spans_.resize(size_t(id) + 1);
    spans_[size_t(id)] = {uint32_t(arena_.size()), uint32_t(bytes.size())};
    arena_ += bytes;
    if (bytes.size() > longest_) longest_ = bytes.size();
    if (2 * size_t(++n_tokens_) > slots_.size())
        grow();
    else
        insert(id);
}

void TokenTable::grow() {
    slots_.assign(slots_.empty() ? 1024 : 2 * slots_.size(), {0, -1});
    for (int id = 0; id < id_limit(); id++)
        if (!bytes(id).empty()) insert(id);
}

void TokenTable::insert(int id) {
    const uint32_t hash = hash_of(bytes(id));
    size_t i = hash & (slots_.size() - 1);
    while (slots_[i].id >= 0) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {hash, id};
}

int TokenTable::find(std::string_view bytes) const {
    if (bytes.empty() || bytes.size() > longest_) return -1;
    const uint32_t hash = hash_of(bytes);
    for (size_t i = hash & (slots_.size() - 1); slots_[i].id >= 0; i = (i + 1) & (slots_.size() - 1))
        if (slots_[i].hash == hash && this->bytes(slots_[i].id) == bytes) return slots_[i].id;
    return -1;
}

std::string_view TokenTable::bytes(int id) const {
    if (id < 0 || id >= id_limit()) return {};
    const Span& span = spans_[size_t(id)];
    return {arena_.data() + span.begin, span.length};
}
