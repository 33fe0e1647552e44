// wgmma.h: NVIDIA Hopper's wgmma.mma_async.m64nNk16, bf16 in, f32 out, for the N that gpu/group_mma.h offers. PTX ISA,
// "Asynchronous warpgroup level matrix multiply-accumulate". Only group_mma.h includes it.
#pragma once

// d (N / 2 of a lane) = (add ? d : 0) + a (16 k of 64 rows of weights, a lane's 4 registers) · b (16 k of N rows in
// LDS, a matrix descriptor).
template <int N>
__device__ void wgmma_k16(float* d, const uint32_t* a, uint64_t b, int add);

#define GPU_SUMS_32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define GPU_SUMS_64 \
    GPU_SUMS_32     \
    ","             \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define GPU_SUMS_96 \
    GPU_SUMS_64     \
    ","             \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define GPU_SUMS_128 \
    GPU_SUMS_96      \
    ","              \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define GPU_SUMS_160 \
    GPU_SUMS_128     \
    ","              \
    "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define GPU_SUMS_192 \
    GPU_SUMS_160     \
    ","              \
    "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define GPU_SUMS_224 \
    GPU_SUMS_192     \
    ","              \
    "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"
#define GPU_SUMS_256 \
    GPU_SUMS_224     \
    ","              \
    "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define GPU_D8(i)                                                                                               \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
        "+f"(d[i + 7])
#define GPU_D_32 GPU_D8(0), GPU_D8(8)
#define GPU_D_64 GPU_D_32, GPU_D8(16), GPU_D8(24)
#define GPU_D_96 GPU_D_64, GPU_D8(32), GPU_D8(40)
#define GPU_D_128 GPU_D_96, GPU_D8(48), GPU_D8(56)
#define GPU_D_160 GPU_D_128, GPU_D8(64), GPU_D8(72)
#define GPU_D_192 GPU_D_160, GPU_D8(80), GPU_D8(88)
#define GPU_D_224 GPU_D_192, GPU_D8(96), GPU_D8(104)
#define GPU_D_256 GPU_D_224, GPU_D8(112), GPU_D8(120)
// The operands that follow the N / 2 sums: a0 to a3, b, add.
#define GPU_WGMMA(N, A0, A1, A2, A3, B, ADD)                                                                    \
    template <>                                                                                                 \
    __device__ inline void wgmma_k16<N>(float* d, const uint32_t* a, uint64_t b, int add) {                     \
        asm volatile("{.reg .pred p; setp.ne.b32 p, " ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #N           \
                     "k16.f32.bf16.bf16 {" GPU_SUMS_##N "}, {" A0 "," A1 "," A2 "," A3 "}, " B ", p, 1, 1, 0;}" \
                     : GPU_D_##N                                                                                \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));                           \
    }
GPU_WGMMA(32, "%16", "%17", "%18", "%19", "%20", "%21")
GPU_WGMMA(64, "%32", "%33", "%34", "%35", "%36", "%37")
GPU_WGMMA(96, "%48", "%49", "%50", "%51", "%52", "%53")
GPU_WGMMA(128, "%64", "%65", "%66", "%67", "%68", "%69")
GPU_WGMMA(160, "%80", "%81", "%82", "%83", "%84", "%85")
GPU_WGMMA(192, "%96", "%97", "%98", "%99", "%100", "%101")
GPU_WGMMA(224, "%112", "%113", "%114", "%115", "%116", "%117")
GPU_WGMMA(256, "%128", "%129", "%130", "%131", "%132", "%133")
#undef GPU_SUMS_32
#undef GPU_D_32
#undef GPU_SUMS_64
#undef GPU_D_64
#undef GPU_SUMS_96
#undef GPU_D_96
#undef GPU_SUMS_128
#undef GPU_D_128
#undef GPU_SUMS_160
#undef GPU_D_160
#undef GPU_SUMS_192
#undef GPU_D_192
#undef GPU_SUMS_224
#undef GPU_D_224
#undef GPU_SUMS_256
#undef GPU_D_256
#undef GPU_D8
#undef GPU_WGMMA
