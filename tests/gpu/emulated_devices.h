// emulated_devices.h: several emulated devices for tests of replicas and chains; real ones are as they are.
#pragma once
#include <cstdlib>
#include <string>

#include "engine.h"

// So many devices while it lives, which reach each other's memory or not. fault: of which one breaks, "device:file of
// the kernel:number of the launch".
class EmulatedDevices {
  public:
    explicit EmulatedDevices(int n, bool peers = true, const std::string& fault = "") {
        setenv("EMU_DEVICES", std::to_string(n).c_str(), 1);
        setenv("EMU_PEERS", peers ? "1" : "0", 1);
        if (!fault.empty()) setenv("EMU_FAIL", fault.c_str(), 1);
    }
    ~EmulatedDevices() {
        for (const char* name : {"EMU_DEVICES", "EMU_PEERS", "EMU_FAIL"}) unsetenv(name);
    }
};

inline EngineOptions options_of(int n_gpus, int gpus_per_replica, int max_sequences, int max_positions) {
    EngineOptions options;
    options.gpu = true;
    options.step_limit_s = 0;  // emulated ones take as long as they take
    options.precision = Precision::kBF16;
    options.max_sequences = max_sequences;
    options.max_request_positions = max_positions;
    options.n_gpus = n_gpus;
    options.gpus_per_replica = gpus_per_replica;
    return options;
}
