// mxfp4.h: E2M1 codes to bf16, exactly. A run's 8 codes in a word, and a scale, are stored as the target decodes them
// cheapest, so each kind of target defines in a file of its own:
//
//   kWordsShareRuns              whether an operand's words (kRuns) hold codes of all its runs; else word r has run r
//   placed_code(word, r, i, code)   word `word` with code i (4 bits: sign, then magnitude) of run r's 8 put in, all
//                                else 0
//   kScaleToPacked               what is added to an E8M0 scale to make a packed one
//   decode_mxfp4<kFromTables>(words, scales, tables)   an operand's words (kRuns) and its runs' packed scales (kRuns),
//                                as a Frag
//   make_decode_tables(lds)      by all threads of a block, in kDecodeTableBytes of LDS (0: none are of use): the
//                                tables that make decode_mxfp4<true> cheaper than decode_mxfp4<false>, which needs none
//
// Neither meets subnormals: packing turns weights below 2^-126 into zeros (kept_code).
#pragma once
#include "gpu/mma.h"

#if defined(GPU_EMULATE_SM80) || defined(__CUDACC__)
#include "gpu/mxfp4_nvidia.h"
#else
#include "gpu/mxfp4_amd.h"
#endif

// A code under an E8M0 scale, or zero where the weight is too small for a normal bf16: matrix cores may take it for
// zero, and MI200's do.
__device__ constexpr uint32_t kept_code(uint32_t code, int scale) {
    const uint32_t smallest = scale == 0 ? 4 : scale == 1 ? 2 : 1;
    return (code & 7) < smallest ? code & 8 : code;
}
