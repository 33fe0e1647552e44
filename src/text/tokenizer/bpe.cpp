// bpe.cpp: two ways to find the next pair to merge.
#include "text/tokenizer/bpe.h"

#include <climits>
#include <cstddef>
#include <cstdint>
#include <queue>

namespace {

// Measured: below about this many bytes the scan is faster.
constexpr size_t kScanMaxBytes = 64;
constexpr int kNoMerge = INT_MAX;

int merged_id(const TokenTable& tokens, std::string_view piece, size_t begin, size_t end) {
    const int id = tokens.find(piece.substr(begin, end - begin));
    return id < 0 ? kNoMerge : id;
}

}  // namespace

void bpe_encode(const TokenTable& tokens, std::string_view piece, std::vector<int>& ids) {
    if (const int id = tokens.find(piece); id >= 0)
        ids.push_back(id);
    else if (piece.size() <= kScanMaxBytes)
        bpe_merge_scan(tokens, piece, ids);
    else
        bpe_merge_heap(tokens, piece, ids);
}

void bpe_merge_scan(const TokenTable& tokens, std::string_view piece, std::vector<int>& ids) {
    struct Part {
        size_t begin;
        int id;
        int merged;  // the id that this part and the next one make, or kNoMerge
    };
    std::vector<Part> parts;
    parts.reserve(piece.size() + 1);
    for (size_t i = 0; i < piece.size(); i++) parts.push_back({i, tokens.find(piece.substr(i, 1)), kNoMerge});
    parts.push_back({piece.size(), -1, kNoMerge});  // marks the end; is never merged
    const auto update = [&](size_t i) {
        parts[i].merged =
            i + 2 < parts.size() ? merged_id(tokens, piece, parts[i].begin, parts[i + 2].begin) : kNoMerge;
    };
    for (size_t i = 0; i + 1 < parts.size(); i++) update(i);

    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < parts.size(); i++)
            if (parts[i].merged < parts[best].merged) best = i;
        if (parts[best].merged == kNoMerge) break;
        parts[best].id = parts[best].merged;
        parts.erase(parts.begin() + std::ptrdiff_t(best) + 1);
        update(best);
        if (best > 0) update(best - 1);
    }
    for (size_t i = 0; i + 1 < parts.size(); i++) ids.push_back(parts[i].id);
}

void bpe_merge_heap(const TokenTable& tokens, std::string_view piece, std::vector<int>& ids) {
    // parts[i] begins at byte i; a part that has been merged into an earlier one has id -1.
    struct Part {
        uint32_t previous, next;
        int id;
        int merged;  // the id that this part and the next one make, or kNoMerge
    };
    const uint32_t end = uint32_t(piece.size());
    std::vector<Part> parts(piece.size());
    // The smallest comes first: the id is in the upper half, the position in the lower. An entry is out of date once
    // its part's `merged` has another value.
    using Entry = uint64_t;
    std::vector<Entry> entries;
    const auto find_merge = [&](uint32_t i) {
        const uint32_t next = parts[i].next;
        parts[i].merged = next < end ? merged_id(tokens, piece, i, parts[next].next) : kNoMerge;
        return parts[i].merged != kNoMerge;
    };
    const auto entry = [&](uint32_t i) { return Entry(parts[i].merged) << 32 | i; };

    for (uint32_t i = 0; i < end; i++) parts[i] = {i - 1, i + 1, tokens.find(piece.substr(i, 1)), kNoMerge};
    for (uint32_t i = 0; i < end; i++)
        if (find_merge(i)) entries.push_back(entry(i));
    std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> heap({}, std::move(entries));

    while (!heap.empty()) {
        const uint32_t i = uint32_t(heap.top());
        const int merged = int(heap.top() >> 32);
        heap.pop();
        if (parts[i].id < 0 || parts[i].merged != merged) continue;
        const uint32_t gone = parts[i].next;
        parts[gone].id = -1;
        parts[i].id = merged;
        parts[i].next = parts[gone].next;
        if (parts[i].next < end) parts[parts[i].next].previous = i;
        if (find_merge(i)) heap.push(entry(i));
        if (i > 0 && find_merge(parts[i].previous)) heap.push(entry(parts[i].previous));
    }
    for (uint32_t i = 0; i < end; i = parts[i].next) ids.push_back(parts[i].id);
}
