// report.h: what a run of getp did and how long it took: lines on stderr for people, JSON for programs (--report).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine.h"

struct Report {
    int64_t n_ok = 0, n_failed = 0;
    int64_t n_prompt = 0, n_generated = 0;              // tokens of requests that are ok
    uint64_t hash = 0;                                  // of the run
    double load_s = 0, warm_up_s = 0, inference_s = 0;  // warm_up_s: with load_s
    std::vector<float> first_token_s, request_s;        // of requests that are ok, since each was read
    std::vector<DeviceStats> devices;
    std::string error;  // what ended the run early; "" if nothing did
};

// The smallest value that at least `percent` in a hundred of all `values` do not exceed; 0 if there are no values.
double percentile(std::vector<float> values, double percent);

void print_report(const Report& report);
// One line of JSON, with the model, the machine and this process's command line.
std::string report_json(const Report& report, const Model& model);
