// flags.cpp: parsing, help and progress of every command line.
#include "app/flags.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "log.h"

namespace {

constexpr int kHelpWidth = 34;

}  // namespace

void parse_flags(CLI::App& app, std::vector<std::string> args) {
    app.get_formatter()->column_width(kHelpWidth);
    try {
        std::reverse(args.begin(), args.end());  // the library takes the last one first
        app.parse(std::move(args));
    } catch (const CLI::CallForHelp&) {
        if (std::fputs(app.help().c_str(), stdout) < 0 || std::fflush(stdout) != 0)
            fail("stdout: cannot write: {}", std::strerror(errno));
        std::exit(kExitOk);
    } catch (const CLI::ParseError& e) {
        fail("{} (run --help lists the flags)", e.what());
    }
}

void show_progress(int64_t done_bytes, int64_t total_bytes) {
    log_status("{:5.1f} of {:.1f} GB", double(done_bytes) * 1e-9, double(total_bytes) * 1e-9);
}
