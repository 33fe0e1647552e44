// memory.h: the emulated device's memory, for whoever must look at all of it.
#pragma once
#include <cstdint>
#include <map>

namespace emu {

// Every allocation of try_allocate() that is not released: address, bytes.
std::map<char*, int64_t> device_memory();

}  // namespace emu
