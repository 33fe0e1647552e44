// f16_twin.h: a snapshot saved in f16, and the same values in f32, of which all results must be equal.
#pragma once
#include <string>

#include "f16.h"

// Towards zero; for numbers that are not too large for f16.
f16 narrowed(float f);
// Rewrites every bf16 tensor of a snapshot's only file as `dtype`, F16 or F32, with the values that f16 holds. To make
// the last bits matter, a third of a bf16's is added to each.
void rewrite_dense(const std::string& snapshot, const std::string& dtype);
