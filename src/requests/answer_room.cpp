// answer_room.cpp: how long a prompt and its answer may be.
#include <algorithm>

#include "error.h"
#include "request.h"

int answer_limit(const CommonConfig& config, std::optional<int> steps) {
    return steps.value_or(0) == 0 ? config.max_context : std::min(*steps, config.max_context);
}

const char* limit_name(const CommonConfig& config, std::optional<int> steps) {
    return answer_limit(config, steps) == config.max_context ? "the model's context" : "--steps";
}

int room_for_answer(const CommonConfig& config, std::optional<int> steps, size_t n_prompt) {
    const int limit = answer_limit(config, steps);
    if (int64_t(n_prompt) >= limit)
        fail("the prompt has {} tokens, which leaves no room for an answer in {} ({})", n_prompt, limit,
             limit_name(config, steps));
    return limit - int(n_prompt);
}
