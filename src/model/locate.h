// locate.h: finds the file or directory that a user's MODEL means.
#pragma once
#include <string>

// The path that `given` means by the rules of open_model(). Throws Error, which says what is there instead, if it is no
// checkpoint.
std::string locate_checkpoint(const std::string& given);

// Throws Error for a directory with a config.json and no weights, and says what it has instead.
[[noreturn]] void fail_without_weights(const std::string& directory);
