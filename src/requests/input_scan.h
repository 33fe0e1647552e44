// input_scan.h: a pass over a file of requests that finds how many there are, their hashes, and where they are.
#pragma once
#include <memory>
#include <string>

#include "requests.h"

// A longer line does not count as blank, whatever is in it.
constexpr size_t kMaxBlankBytes = size_t(1) << 20;

// `is_text`: the first line is the count, and at most `max_requests` lines after it are requests; else every line that
// is not blank is one. Throws Error if the file cannot be read.
std::unique_ptr<InputScan> scan_input(const std::string& path, bool is_text, int64_t max_requests);

// The key by which custom_ids are told apart, so that a million take little memory.
uint64_t custom_id_key(std::string_view custom_id);
