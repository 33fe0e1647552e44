// error.h: failures that a user can mend, and exit codes.
//
// Bad usage or input throws Error with one line that names the file, the field, what was expected and what was found;
// main() prints it and exits with kExitUsage. A bug of ours is an assert, not an Error.
#pragma once
#include <fmt/core.h>

#include <stdexcept>

struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
    throw Error(fmt::format(format, std::forward<Args>(args)...));
}

enum ExitCode {
    kExitOk = 0,
    kExitRequestFailed = 1,  // the program did its work, but a request in it failed
    kExitUsage = 2,          // bad flags, files or values: it could not do its work
    kExitPartial = 75,       // getp: stopped with requests left; the same command goes on (EX_TEMPFAIL of sysexits.h)
};
