// checkpoint_checks.h: what tests of checkpoints share: files to damage, comparison of models.
#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "checkpoint.h"
#include "text_checks.h"
#include "tiny_model.h"

void write_bytes(const std::string& path, const std::string& bytes);
void edit_json(const std::string& path, const std::function<void(nlohmann::json&)>& edit);
// One layer, so that a test may open it once for each of its tensors.
inline const std::vector<std::string> kOneLayer = {"num_hidden_layers=1"};

std::string open_error(const std::string& path, const OpenOptions& options = {});

// Every number of two configs is the same.
void expect_same_config(const Config& a, const Config& b);
// Every element of every tensor, compared as floats.
void expect_same_weights(const Model& a, const Model& b);

void export_to(const Model& model, const std::string& path, ExportKind kind);
