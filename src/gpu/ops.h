// ops.h: the operations of a step as the profile names them.
#pragma once
#include <vector>

enum GpuOp { kEmbed, kNorm, kQkv, kAttention, kOut, kRouter, kSort, kMoeUp, kMoeDown, kLmHead, kSample };

inline std::vector<const char*> gpu_op_names() {
    return {"embed",    "rmsnorm", "qkv",      "attention", "o",     "router",
            "moe sort", "moe up",  "moe down", "lm_head",   "sample"};
}
