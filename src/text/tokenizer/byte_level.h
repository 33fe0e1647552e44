// byte_level.h: GPT-2's byte-level alphabet, in which tokenizer.json spells bytes as characters.
#pragma once
#include <array>
#include <string>
#include <string_view>

// For each code point, the byte that it stands for; -1: none. Printable Latin-1 stands for itself; the other 68 bytes
// are, in order, U+0100 and those after it.
constexpr std::array<int, 0x144> byte_level_alphabet() {
    std::array<int, 0x144> byte_of{};
    for (int& byte : byte_of) byte = -1;
    int next = 0x100;
    for (int b = 0; b < 256; b++) {
        const bool is_printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
        byte_of[size_t(is_printable ? b : next++)] = b;
    }
    return byte_of;
}
constexpr std::array<int, 0x144> kByteOf = byte_level_alphabet();

// Turns text in this alphabet, in UTF-8, into the bytes that it stands for. False if it has another character.
bool decode_byte_level(std::string_view text, std::string& bytes);
std::string encode_byte_level(std::string_view bytes);
