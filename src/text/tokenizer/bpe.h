// bpe.h: byte pair encoding of one piece of text.
//
// A piece that is a token becomes that token. Any other piece starts as single bytes. Then, as long as two neighbours
// make a token together, those that make the lowest id are merged; of several such, the leftmost.
#pragma once
#include <string_view>
#include <vector>

#include "text/tokenizer/table.h"

// Appends the ids of `piece`. `tokens` holds each of the 256 single bytes.
void bpe_encode(const TokenTable& tokens, std::string_view piece, std::vector<int>& ids);

// bpe_encode() chooses one of these; they agree on every piece. Scanning all pairs for each merge is O(n^2), but faster
// for short pieces; the heap is O(n log n).
void bpe_merge_scan(const TokenTable& tokens, std::string_view piece, std::vector<int>& ids);
void bpe_merge_heap(const TokenTable& tokens, std::string_view piece, std::vector<int>& ids);
