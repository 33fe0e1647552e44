// forward_checks.cpp: reads what others computed.
#include "support/forward_checks.h"

#include <cstring>

#include "base/file.h"
#include "support/json.h"

Oracle::Oracle(const std::string& name) {
    const std::string directory = "tests/golden/" + name;
    const auto reference = json_of(read_file(directory + "/reference.json"));
    const std::string raw = read_file(directory + "/logits.f32");
    for (const auto& c : reference["cases"]) {
        greedy.push_back(c["greedy"].get<std::vector<int>>());
        leads.push_back(c.value("lead", std::vector<double>()));
        prompts.push_back({c["prompt"].get<std::vector<int>>(), int(greedy.back().size())});
        const auto& l = c["logits"];
        Logits want{l["first_position"].get<int>(), {}};
        const size_t rows = l["shape"][0], vocab = l["shape"][1], offset = l["offset"];
        for (size_t r = 0; r < rows; r++) {
            std::vector<float> row(vocab);
            std::memcpy(row.data(), raw.data() + offset + r * vocab * sizeof(float), vocab * sizeof(float));
            want.rows.push_back(std::move(row));
        }
        logits.push_back(std::move(want));
    }
}
