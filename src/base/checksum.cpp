// checksum.cpp: xxHash's streaming interface, compiled in so that no library is needed at run time.
#include "base/checksum.h"

#include <fmt/core.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct Checksum::State {
    XXH3_state_t xxh3;
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
    XXH3_64bits_reset(&state_->xxh3);
}
Checksum::~Checksum() = default;

void Checksum::add(const void* data, int64_t n_bytes) {
    XXH3_64bits_update(&state_->xxh3, data, size_t(n_bytes));
}

std::string Checksum::hex() const {
    return fmt::format("{:016x}", XXH3_64bits_digest(&state_->xxh3));
}

uint64_t hash_of(std::string_view text) {
    return XXH3_64bits(text.data(), text.size());
}
