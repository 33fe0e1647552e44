// scripted_model.h: a model that says exactly what it is told, for tests of what models get wrong.
//
//     const ScriptedModel model("<|channel|>final json<|message|>{}<|return|>");
//     run_program({built("run"), model.path(), "-i", "Go."});
//
// It is a gpt-oss of one layer with the demo's tokenizer (tests run in the project's folder). Its margins are wide: any
// temperature up to 1 gives the same. It answers every prompt that ends in the user message "Go.". Special tokens are
// written by name. An answer without a stop token is followed by `<|return|>`; to cut it off, limit the tokens.
#pragma once
#include <string>
#include <vector>

#include "temp_folder.h"

struct Script {
    std::string user;    // the last message of the prompt; short, as only eight tokens are looked at
    std::string answer;  // after "<|start|>assistant"
    std::string tool{};  // the last message is not the user's but this tool's, "functions.add"
};

// Writes the snapshot into `directory`, which is made. Throws std::logic_error if after the same eight tokens two
// scripts, or two places of one, go on differently.
void write_scripted_snapshot(const std::string& directory, const std::vector<Script>& scripts);

class ScriptedModel {
  public:
    explicit ScriptedModel(const std::string& answer) : ScriptedModel(std::vector<Script>{{"Go.", answer}}) {}
    explicit ScriptedModel(const std::vector<Script>& scripts) { write_scripted_snapshot(path(), scripts); }
    std::string path() const { return folder_.path("model"); }

  private:
    TempFolder folder_;
};
