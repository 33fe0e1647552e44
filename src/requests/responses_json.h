// responses_json.h: pieces of the JSON that Responses answers and their events share.
#pragma once
#include <string>
#include <string_view>

#include "requests/responses_answer.h"

// A string of JSON.
std::string json_string(std::string_view text);
// An id of the item at `index` in the answer: "msg_...".
std::string item_id(const AnswerItem& item, const ResponseStamp& stamp, size_t index);
// A part of an item's content that holds `text`. For items that are not calls.
std::string part_json(const AnswerItem& item, std::string_view text);
// The item as it is when it begins, with no text; and at its end, whose status is "completed" or "incomplete".
std::string begun_item_json(const AnswerItem& item, const ResponseStamp& stamp, size_t index);
std::string ended_item_json(const AnswerItem& item, const ResponseStamp& stamp, size_t index, const char* status,
                            bool encrypts_reasoning);
// The whole object. `answer` is null while it is in progress; its error is set if it failed. `output` is its items with
// commas between them.
std::string object_json(const ResponseRequest& request, const ResponseStamp& stamp, const Answer* answer,
                        const std::string& output);
