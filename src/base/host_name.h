// host_name.h: the name of this machine.
#pragma once
#include <string>

std::string host_name();
