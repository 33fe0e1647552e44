// host_name.cpp: as the kernel has it.
#include "base/host_name.h"

#include <unistd.h>

std::string host_name() {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    return name;
}
