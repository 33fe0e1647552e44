// demo_golden.h: what Hugging Face transformers answered with the demo model (tools/demo/golden.py), and whether a
// backend answers the same, letter by letter: a trained model's greedy choices have clear margins.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "engine.h"

const nlohmann::json& golden();  // 40 cases
std::vector<int> golden_prompt(size_t i);

// Every `step`th case; 5 leaves 8 of 40, 10 leaves 4, of different kinds.
void expect_golden_text(EngineOptions options, size_t step = 1);
