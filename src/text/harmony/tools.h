// tools.h: function tools as the model was trained to read them.
#pragma once
#include <string>
#include <vector>

#include "harmony.h"

// The "# Tools" section of a developer message: TypeScript types in a namespace "functions". Throws Error for a schema
// that is not a JSON object, or is nested very deeply.
std::string function_tools_text(const std::vector<FunctionTool>& tools);
