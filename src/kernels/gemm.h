// gemm.h: the matrix-product kernels whose waves multiply for themselves, for few tokens and for many.
#pragma once
#include "gemm_few.h"
#include "gemm_many.h"

// tile_rows: most rows of a block: 16, 32, 64 or 128. n_tiles: tiles of so many rows. At 64 rows, eight slabs of an
// expert share staged activations; otherwise activations would cost more reads than weights. Other matrices have too
// few slabs for that.
template <class Problem>
void launch_waves(const Problem& problem, const GemmShape& shape, int tile_rows, int n_tiles, gpu::Stream stream) {
    if (tile_rows == 16) return launch_few<Problem, 1>(problem, shape, n_tiles, stream);
    if (tile_rows == 32) return launch_few<Problem, 2>(problem, shape, n_tiles, stream);
    if (tile_rows == 64) {
        if constexpr (Problem::kFixedTiles)
            return launch_few<Problem, 4>(problem, shape, n_tiles, stream);
        else
            return launch_many<Problem, 1, 8>(problem, shape, n_tiles, stream);
    }
    GPU_REQUIRE(tile_rows == 128);
    launch_many<Problem, 2, 4>(problem, shape, n_tiles, stream);
}
