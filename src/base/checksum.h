// checksum.h: 64-bit hashes of files, tensors and lines: XXH3.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

class Checksum {
  public:
    Checksum();
    ~Checksum();
    void add(const void* data, int64_t n_bytes);
    std::string hex() const;  // 16 digits

  private:
    struct State;
    std::unique_ptr<State> state_;
};

uint64_t hash_of(std::string_view text);
