// mxfp4_rows.h: neighbouring rows of an MXFP4 matrix, for sets of which a register's lanes are rows.
//
// For the anonymous namespace see scratch.h.
#pragma once
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/scratch.h"

namespace {

// Rows of codes and scales, one after the other.
struct Mxfp4Rows {
    const uint8_t *codes, *scales;
    int64_t n_blocks;  // a row
    Mxfp4Rows from(int64_t row) const { return {codes + 16 * row * n_blocks, scales + row * n_blocks, n_blocks}; }
};

// kRows rows of w from row o on. If fewer are wanted, they are a copy, whose other rows are zeros.
template <int kRows>
Mxfp4Rows rows_at(const Matrix& w, int64_t o, int64_t n_rows) {
    static thread_local Scratch<uint8_t> memory;
    const int64_t n_blocks = w.n_in / kBlock;
    const Mxfp4Rows rows = Mxfp4Rows{static_cast<const uint8_t*>(w.data), w.scales, n_blocks}.from(o);
    if (n_rows >= kRows) return rows;
    uint8_t* const copy = memory.get(17 * kRows * n_blocks);
    std::memset(copy, 0, size_t(17 * kRows * n_blocks));
    std::memcpy(copy, rows.codes, size_t(16 * n_rows * n_blocks));
    std::memcpy(copy + 16 * kRows * n_blocks, rows.scales, size_t(n_rows * n_blocks));
    return {copy, copy + 16 * kRows * n_blocks, n_blocks};
}

}  // namespace
