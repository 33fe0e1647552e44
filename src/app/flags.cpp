// flags.cpp: parsing, help and progress of every command line.
#include "app/flags.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
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

int64_t parse_bytes(const std::string& flag, const std::string& text, const std::string& expected) {
    const std::string units = "KMGT";
    const bool decimal = text.size() > 1 && text.back() == 'B';
    const std::string value = text.substr(0, text.size() - size_t(decimal));
    const size_t unit = value.empty() ? std::string::npos : units.find(char(std::toupper(value.back())));
    const int power = unit == std::string::npos ? 0 : int(unit + 1);
    const std::string digits = value.substr(0, value.size() - size_t(power > 0));
    const int64_t factor = decimal ? int64_t(std::pow(1000, power)) : int64_t(1) << (10 * power);
    return parse_number(flag, digits, int64_t(1), INT64_MAX / factor, expected) * factor;
}

void show_progress(int64_t done_bytes, int64_t total_bytes) {
    log_status("{:5.1f} of {:.1f} GB", double(done_bytes) * 1e-9, double(total_bytes) * 1e-9);
}
