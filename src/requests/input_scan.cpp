// input_scan.cpp: hashes every line once, so that a later run, or this one, notices when the file has changed.
#include "requests/input_scan.h"

#include <algorithm>

#include "base/checksum.h"
#include "base/line_reader.h"
#include "error.h"
#include "requests/request_line.h"

namespace {

bool is_filled(const LineReader& lines, std::string_view line) {
    return lines.too_long() || line.size() > kMaxBlankBytes || !is_blank(line);
}

// Finds repeated custom_ids. Sorting a key and an index for each request takes less memory than a set would.
class CustomIds {
  public:
    void add(std::string_view line, int64_t index) {
        if (line.find("custom_id") == std::string_view::npos && line.find('\\') == std::string_view::npos) return;
        try {
            if (const auto id = read_custom_id(parse_json(line, "the line")))
                keys_.emplace_back(custom_id_key(*id), index);
        } catch (const Error&) {
        }
    }

    // For each request, whether an earlier one has the same id; empty if no id is repeated.
    std::vector<bool> repeats(size_t n_requests) {
        std::vector<bool> repeats;
        std::sort(keys_.begin(), keys_.end());
        for (size_t i = 1; i < keys_.size(); i++) {
            if (keys_[i].first != keys_[i - 1].first) continue;
            repeats.resize(n_requests);
            repeats[size_t(keys_[i].second)] = true;
        }
        return repeats;
    }

  private:
    std::vector<std::pair<uint64_t, int64_t>> keys_;
};

void add_place(InputScan& scan, InputScan::Place place) {
    if (int64_t(scan.hashes.size()) % scan.stride != 0) return;
    if (int64_t(scan.places.size()) == kMaxPlaces) {
        for (size_t i = 0; 2 * i < scan.places.size(); i++) scan.places[i] = scan.places[2 * i];
        scan.places.resize(size_t(kMaxPlaces) / 2);
        scan.stride *= 2;
    }
    scan.places.push_back(place);
}

}  // namespace

uint64_t custom_id_key(std::string_view custom_id) {
    return hash_of(custom_id);
}

std::unique_ptr<InputScan> scan_input(const std::string& path, bool is_text, int64_t max_requests) {
    auto scan = std::make_unique<InputScan>();
    CustomIds ids;
    LineReader lines(path);
    for (std::string_view line; lines.next(line);) {
        scan->n_lines++;
        const bool filled = is_filled(lines, line);
        if (filled) scan->last_filled = lines.line_number();
        const auto index = int64_t(scan->hashes.size());
        const bool is_request = is_text ? scan->n_lines > 1 && index < max_requests : filled;
        if (!is_request) continue;
        add_place(*scan, {lines.offset(), lines.line_number()});
        scan->hashes.push_back(hash_of(line));
        if (!is_text && !lines.too_long()) ids.add(line, index);
    }
    scan->n_bytes = lines.offset();
    scan->repeats_id = ids.repeats(scan->hashes.size());
    return scan;
}
