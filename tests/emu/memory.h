// memory.h: all memory of the emulated devices, and who may touch it.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>

#include "emu/hip_runtime.h"

namespace emu {

// Every allocation of try_allocate() on the current device that is not released: address, bytes.
std::map<char*, int64_t> device_memory();

// While it lives, if there are several devices, only this thread uses any, and touching memory of another device than
// the current one ends the program with a line that names `site`. stream: must be the current device's.
class OnDevice {
  public:
    OnDevice(const Site& site, void* stream);

  private:
    std::unique_lock<std::recursive_mutex> lock_;
};

}  // namespace emu
