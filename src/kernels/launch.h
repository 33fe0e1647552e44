// launch.h: what launchers know of the device. Host code cannot use kWave, which only device code has right.
#pragma once
#include "gpu/runtime.h"

// Lanes of a wave; one program runs on devices of one kind only.
inline int device_wave() {
    static const int wave = gpu::device_info(0).wave;
    return wave;
}

// Whether the device has matrix instructions of groups of waves: gpu/group_mma.h.
inline bool device_has_groups() {
    static const bool groups = gpu::device_info(0).wave_groups;
    return groups;
}

// Compute units: how many blocks to launch for a kernel whose blocks take work until none is left.
inline int device_units() {
    static const int n_units = gpu::device_info(0).n_units;
    return n_units;
}
