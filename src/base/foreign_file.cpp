// foreign_file.cpp: the first bytes of files that are often given in place of a model.
#include "base/foreign_file.h"

#include <algorithm>
#include <cctype>

#include "base/utf8.h"
#include "error.h"

namespace {

using namespace std::string_view_literals;

constexpr const char* kUnpack = "unpack it and give the directory";
constexpr const char* kSnapshot = "give the model's Hugging Face snapshot, whose weights are safetensors files";
constexpr const char* kAgain =
    "an answer of a server saved in its place: download the file again, logged in if need be";

constexpr struct {
    size_t offset;
    std::string_view bytes;
    const char *what, *advice;
} kMagics[] = {
    {0, "version https://git-lfs"sv, "a Git LFS pointer, which only says where the file is",
     "run git lfs pull in its directory, or hf download"},
    {0, "GGUF"sv, "a GGUF file", kSnapshot},
    {0, "ggjt"sv, "a GGML file", kSnapshot},
    {0, "tjgg"sv, "a GGML file", kSnapshot},
    {0, "GPT-OSS v1"sv, "OpenAI's file for Metal", kSnapshot},
    {0, "\x89HDF\r\n"sv, "an HDF5 file", kSnapshot},
    {0, "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9"sv, "a PyTorch file", kSnapshot},
    {0, "\x80\x02}"sv, "a Python pickle", kSnapshot},
    {0, "\x80\x04\x95"sv, "a Python pickle", kSnapshot},
    {0, "\x1f\x8b"sv, "a gzip archive", kUnpack},
    {0, "\x28\xb5\x2f\xfd"sv, "a zstd archive", kUnpack},
    {0,
     "\xfd"
     "7zXZ"sv,
     "an xz archive", kUnpack},
    {0, "BZh"sv, "a bzip2 archive", kUnpack},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive", kUnpack},
    {0, "Rar!\x1a"sv, "a RAR archive", kUnpack},
    {257, "ustar"sv, "a tar archive", kUnpack},
};

constexpr size_t kLooked = 4096;  // bytes of the file that are looked at
constexpr size_t kShown = 60;     // bytes of its first line that an error shows

std::string_view beginning(std::string_view content) {
    return content.substr(0, kLooked);
}

// `text` without a byte order mark and white space at its start.
std::string_view trimmed(std::string_view text) {
    if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text[0]))) text.remove_prefix(1);
    return text;
}

bool begins_with_word(std::string_view text, std::string_view lower_case) {
    return text.size() >= lower_case.size() &&
           std::equal(lower_case.begin(), lower_case.end(), text.begin(),
                      [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

bool is_text(std::string_view head) {
    size_t length = 1;
    for (; !head.empty(); head.remove_prefix(std::min(length, head.size()))) {
        const Utf8 kind = utf8_next(head, &length);
        if (kind == Utf8::kCut) return true;
        const auto c = static_cast<unsigned char>(head[0]);
        if (kind == Utf8::kBad || (c < 0x20 && !std::isspace(c)) || c == 0x7f) return false;
    }
    return true;
}

// The first line of `text`, cut to kShown bytes.
std::string first_line(std::string_view text) {
    text = trimmed(text);
    text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
    std::string line(text.substr(0, std::min(text.find_first_of("\r\n"), kShown)));
    line.resize(utf8_valid_prefix(line));
    return line + (line.size() < text.size() ? "..." : "");
}

}  // namespace

void refuse_foreign_file(std::string_view content, const std::string& path, const std::string& expected) {
    const std::string_view head = beginning(content), text = trimmed(head);
    const auto refuse = [&](const std::string& what, const char* advice) {
        fail("{}: expected {}, found {}: {}", path, expected, what, advice);
    };
    for (const auto& magic : kMagics)
        if (head.size() > magic.offset && head.substr(magic.offset, magic.bytes.size()) == magic.bytes)
            refuse(magic.what, magic.advice);
    if (head.substr(0, 4) == "PK\x03\x04") {  // PyTorch's files are zip archives too
        const bool pickle = head.find("data.pkl") != std::string_view::npos;
        refuse(pickle ? "a PyTorch file" : "a zip archive", pickle ? kSnapshot : kUnpack);
    }
    for (const char* start : {"<!doctype", "<html", "<?xml"})
        if (begins_with_word(text, start)) refuse("a web page", kAgain);
}

void refuse_text_file(std::string_view content, const std::string& path, const std::string& expected) {
    refuse_foreign_file(content, path, expected);
    const std::string_view head = beginning(content);
    const char* kCutOff = "a download that did not end: start it again";
    if (head.empty()) fail("{}: expected {}, found an empty file: {}", path, expected, kCutOff);
    if (is_text(head))
        fail(
            "{}: expected {}, found text, \"{}\": if a server's answer was saved in its place, download the file again",
            path, expected, first_line(head));
    if (head.size() >= 64 && head.find_first_not_of('\0') == std::string_view::npos)
        fail("{}: expected {}, found zeros: {}", path, expected, kCutOff);
}
