// bpe.h: byte pair encoding of one piece of text.
//
// A piece that is a token is that token. Any other starts as single bytes; then, again and again, of all neighbours
// whose concatenation is a token, the pair that makes the lowest id becomes one, the leftmost of equal ones, until none
// is left.
#pragma once
#include <string_view>
#include <vector>

#include "text/tokenizer/table.h"

// Appends the ids of `piece`. `tokens` holds each of the 256 single bytes.
void bpe_encode(const TokenTable& tokens, std::string_view piece, std::vector<int>& ids);

// The two ways to merge that bpe_encode chooses from; they agree on every piece. Looking through all pairs for each
// merge is O(n^2) and the faster one for short pieces; the heap is O(n log n).
void bpe_merge_scan(const TokenTable& tokens, std::string_view piece, std::vector<int>& ids);
void bpe_merge_heap(const TokenTable& tokens, std::string_view piece, std::vector<int>& ids);
