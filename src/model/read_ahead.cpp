// read_ahead.cpp: a checkpoint's files, front to back, into the page cache.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/memory.h"
#include "checkpoint.h"

namespace {

constexpr int64_t kPieceBytes = int64_t(64) << 20;

struct Piece {
    const uint8_t* data;
    int64_t n_bytes, missing;
};

}  // namespace

void read_ahead(const Model& model, const std::function<void(int64_t, int64_t)>& progress) {
    std::vector<Piece> pieces;
    int64_t total = 0, missing = 0;
    for (const Model::Mapping& file : model.mappings)
        for (int64_t at = 0; at < file.n_bytes; at += kPieceBytes) {
            const int64_t n = std::min(kPieceBytes, file.n_bytes - at);
            pieces.push_back({file.data + at, n, missing_bytes(file.data + at, n)});
            total += n;
            missing += pieces.back().missing;
        }
    if (missing <= total / 100 || total > available_memory_bytes()) return;

    // Each piece is requested while the one before it is read. All begin at a page, as mappings do.
    const auto ask = [](const Piece& piece) {
        if (piece.missing) madvise(const_cast<uint8_t*>(piece.data), size_t(piece.n_bytes), MADV_WILLNEED);
    };
    const int64_t page = sysconf(_SC_PAGESIZE);
    int64_t done = total - missing;
    for (size_t i = 0; i < pieces.size(); i++) {
        if (i == 0) ask(pieces[i]);
        if (i + 1 < pieces.size()) ask(pieces[i + 1]);
        if (!pieces[i].missing) continue;
        for (int64_t at = 0; at < pieces[i].n_bytes; at += page)
            static_cast<void>(*static_cast<const volatile uint8_t*>(pieces[i].data + at));
        done += pieces[i].missing;
        progress(done, total);
    }
}
