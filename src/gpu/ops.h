// ops.h: the operations of a step as the profile names them: those of every architecture, then each one's own.
#pragma once
#include <vector>

enum GpuOp { kEmbed, kNorm, kQkv, kAttention, kOut, kLmHead, kSample, kOwnOps };
enum GptOssOp { kRouter = kOwnOps, kSort, kMoeUp, kMoeDown };
enum Gpt2Op { kUp = kOwnOps, kDown };  // with the norms in front of them, as qkv

inline std::vector<const char*> gpt_oss_op_names() {
    return {"embed",  "rmsnorm", "qkv",      "attention", "o",       "lm_head",
            "sample", "router",  "moe sort", "moe up",    "moe down"};
}
inline std::vector<const char*> gpt2_op_names() {
    return {"embed", "layernorm", "qkv", "attention", "o", "lm_head", "sample", "up", "down"};
}
