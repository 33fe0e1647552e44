// mxfp4.h: E2M1 codes to bf16, exactly. A run's 8 codes, one word, and its scale are stored in the form that the target
// decodes at least cost. So each kind of target defines in a file of its own:
//
//   kWordsShareRuns              whether each of an operand's kRuns words has codes of all runs; else word r has run r
//   placed_code(word, r, i, code)   word `word` with code i (4 bits: sign, then magnitude) of run r in its place, and
//                                zeros elsewhere
//   kScaleToPacked               what to add to an E8M0 scale to get a packed one
//   decode_mxfp4<kFromTables>(words, scales, tables)   makes a Frag of an operand's kRuns words and packed scales
//   make_decode_tables(lds)      called by all threads of a block: makes tables in kDecodeTableBytes of LDS. With them
//                                decode_mxfp4<true> is cheaper than decode_mxfp4<false>, which needs none. If these
//                                are 0 bytes, tables are of no use
//
// Neither gives subnormals: packing turns weights below 2^-126 into zeros (kept_code).
#pragma once
#include "gpu/mma.h"

#if defined(GPU_EMULATE_SM80) || defined(__CUDACC__)
#include "gpu/mxfp4_nvidia.h"
#else
#include "gpu/mxfp4_amd.h"
#endif

// The code, or zero if the weight under this E8M0 scale is too small for a normal bf16: matrix cores may take such a
// weight for zero, and MI200's do.
__device__ constexpr uint32_t kept_code(uint32_t code, int scale) {
    const uint32_t smallest = scale == 0 ? 4 : scale == 1 ? 2 : 1;
    return (code & 7) < smallest ? code & 8 : code;
}
