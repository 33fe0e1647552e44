// checksum.h: the 64-bit hash of a container's tensors: XXH3.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

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
