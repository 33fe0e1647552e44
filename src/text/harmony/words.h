// words.h: the words of the chat format that rendering and parsing share.
#pragma once
#include <optional>
#include <string_view>

#include "harmony.h"

constexpr std::string_view kConstrain = "<|constrain|>";  // begins a Message::content_type that is enforced

constexpr std::string_view kFunctions = "functions.";  // begins the recipient of a call

constexpr std::string_view kSpaces = " \t\n\v\f\r";  // what separates the words of a header

std::string_view role_word(Role role);
// The role that begins a header. No value if it is no role: a tool's name may begin a header, too.
std::optional<Role> role_of_word(std::string_view word);
