// launch.h: what launchers know of the device. kWave is a fact of compiled device code; on the host it has no meaning.
#pragma once
#include "gpu/runtime.h"

// Lanes of a wave; one program runs on devices of one kind only.
inline int device_wave() {
    static const int wave = gpu::device_info(0).wave;
    return wave;
}

// Whether matrix instructions of groups of waves are there: gpu/group_mma.h.
inline bool device_has_groups() {
    static const bool groups = gpu::device_info(0).wave_groups;
    return groups;
}

// Compute units: blocks of a kernel whose blocks stay until all is done.
inline int device_units() {
    static const int n_units = gpu::device_info(0).n_units;
    return n_units;
}
