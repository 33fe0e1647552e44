// known_file.h: what people bring in place of a model's file, told by how it begins: one line that says what it is and
// what to do says more than the first byte that a reader trips over.
#pragma once
#include <string>
#include <string_view>

// Throws Error if `content`, which may be the file's beginning only, is of a well-known kind that holds no model for
// this program: a Git LFS pointer, a web page, an archive, a GGUF, a PyTorch file, ... `expected` is for the error.
void refuse_known_file(std::string_view content, const std::string& path, const std::string& expected);

// The same for a file that must be binary: also if it is text, or holds nothing yet.
void refuse_text_file(std::string_view content, const std::string& path, const std::string& expected);
