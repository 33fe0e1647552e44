// table.h: byte strings and their ids, looked up both ways: the hot data structure of encode().
//
// All bytes are in one arena. The hash table uses open addressing with linear probing and is at most half full. A slot
// holds 32 bits of the hash, so a probe touches the arena only if it is almost certainly a hit.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

class TokenTable {
  public:
    // `id` is not negative and has no bytes yet; `bytes` is not empty and not yet in the table.
    void add(int id, std::string_view bytes);

    // The id of exactly these bytes, or -1.
    int find(std::string_view bytes) const;
    // The bytes of `id`, a view into the arena; "" if it has none.
    std::string_view bytes(int id) const;

    int size() const { return n_tokens_; }
    int id_limit() const { return int(spans_.size()); }  // every id is below
    size_t longest() const { return longest_; }          // bytes

  private:
    struct Span {
        uint32_t begin = 0, length = 0;
    };
    struct Slot {
        uint32_t hash;
        int id;  // -1: free
    };
    void grow();          // doubles slots_ and inserts every id anew
    void insert(int id);  // into slots_, which has room

    std::string arena_;
    std::vector<Span> spans_;  // by id
    std::vector<Slot> slots_;  // a power of two
    int n_tokens_ = 0;
    size_t longest_ = 0;
};
