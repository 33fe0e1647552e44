// foreign_file.h: recognises, by its first bytes, a file given in place of a model's, and says what to do instead.
#pragma once
#include <string>
#include <string_view>

// Throws Error if `content`, which may be the file's beginning only, is of a well-known kind that holds no model for
// this program: a Git LFS pointer, a web page, an archive, a GGUF, a PyTorch file, ... `expected` is for the error.
void refuse_foreign_file(std::string_view content, const std::string& path, const std::string& expected);

// The same for a file that must be binary; also refuses text, and files that hold nothing yet.
void refuse_text_file(std::string_view content, const std::string& path, const std::string& expected);
