// numpy_random.h: raw random numbers equal to numpy's: PCG64 seeded by a SeedSequence, so that snapshots made here and
// by a Python script are the same bytes.
//
// PCG64 is O'Neill's PCG XSL-RR 128/64 (pcg-random.org); the seeding is numpy's, after O'Neill's seed_seq_fe.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

// Numbers of one name under one seed: numpy's PCG64(SeedSequence([seed, *name.encode()])).random_raw().
class NumpyRandom {
  public:
    NumpyRandom(uint32_t seed, const std::string& name) {
        std::vector<uint32_t> entropy = {seed};
        for (const char byte : name) entropy.push_back(static_cast<unsigned char>(byte));
        const std::array<uint64_t, 4> words = seed_words(entropy);
        increment_ = (join(words[2], words[3]) << 1) | 1;
        step();
        state_ += join(words[0], words[1]);
        step();
    }

    uint64_t next() {
        step();
        const uint64_t folded = uint64_t(state_ >> 64) ^ uint64_t(state_);
        const unsigned turn = unsigned(state_ >> 122);
        return (folded >> turn) | (folded << (-turn & 63));
    }

  private:
    __extension__ using u128 = unsigned __int128;

    static u128 join(uint64_t high, uint64_t low) { return u128(high) << 64 | low; }
    void step() { state_ = state_ * join(0x2360ed051fc65da4, 0x4385df649fccf645) + increment_; }

    static uint32_t hash(uint32_t value, uint32_t& constant, uint32_t multiplier) {
        value ^= constant;
        constant *= multiplier;
        value *= constant;
        return value ^ value >> 16;
    }

    static std::array<uint64_t, 4> seed_words(const std::vector<uint32_t>& entropy) {
        constexpr size_t kPool = 4;
        std::array<uint32_t, kPool> pool{};
        uint32_t constant = 0x43b0d7e5;
        const auto mix_into = [&](size_t to, uint32_t value) {
            const uint32_t mixed = 0xca01f9dd * pool[to] - 0x4973f715 * hash(value, constant, 0x931e8875);
            pool[to] = mixed ^ mixed >> 16;
        };
        for (size_t i = 0; i < kPool; i++) pool[i] = hash(i < entropy.size() ? entropy[i] : 0, constant, 0x931e8875);
        for (size_t from = 0; from < kPool; from++)
            for (size_t to = 0; to < kPool; to++)
                if (from != to) mix_into(to, pool[from]);
        for (size_t from = kPool; from < entropy.size(); from++)
            for (size_t to = 0; to < kPool; to++) mix_into(to, entropy[from]);

        std::array<uint64_t, 4> words{};
        constant = 0x8b51f9dd;
        for (size_t i = 0; i < 2 * words.size(); i++)
            words[i / 2] |= uint64_t(hash(pool[i % kPool], constant, 0x58f38ded)) << (32 * (i % 2));
        return words;
    }

    u128 state_ = 0, increment_ = 0;
};
