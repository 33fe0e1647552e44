// device.hip: the size of a wave, as the device's code has it.
#include "gpu/wave.h"
#include "kernels.h"

namespace {

__global__ void wave_kernel(int* wave) {
    if (threadIdx.x == 0) *wave = kWave;
}

}  // namespace

int compiled_wave(gpu::Stream stream) {
    auto* const device = static_cast<int*>(gpu::try_allocate(sizeof(int)));
    GPU_REQUIRE(device);
    GPU_LAUNCH(wave_kernel, dim3(1), dim3(64), 0, stream, device);
    int wave = 0;
    gpu::copy_to_host(&wave, device, sizeof wave, stream);
    gpu::synchronize(stream);
    gpu::release(device);
    return wave;
}
