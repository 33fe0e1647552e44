// locate.h: from what a user gives as MODEL to the file or directory that holds it.
#pragma once
#include <string>

// As open_model() says. Throws Error if `given` names no checkpoint, with what stands there instead.
std::string locate_checkpoint(const std::string& given);

// Fails: this directory has a config.json and no weights. Says what it has instead.
[[noreturn]] void fail_without_weights(const std::string& directory);
