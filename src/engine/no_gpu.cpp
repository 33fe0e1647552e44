// no_gpu.cpp: a program built for the CPU alone.
#include "engine/gpus.h"
#include "error.h"

int usable_gpus() {
    return 0;
}

std::string gpu_trouble() {
    return "this program was built without GPU support";
}

std::vector<std::unique_ptr<Replica>> make_gpu_replicas(const Model&, const EngineOptions&) {
    fail("{}", gpu_trouble());
}
