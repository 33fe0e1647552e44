// base64.cpp: three bytes to four characters and back.
#include "base/base64.h"

#include <array>
#include <cstdint>

namespace {

constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNone = 255;

constexpr std::array<uint8_t, 256> digit_values() {
    std::array<uint8_t, 256> values{};
    for (uint8_t& value : values) value = kNone;
    for (uint8_t i = 0; i < 64; i++) values[static_cast<unsigned char>(kDigits[i])] = i;
    return values;
}
constexpr std::array<uint8_t, 256> kValues = digit_values();

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const size_t n = bytes.size() - i < 3 ? bytes.size() - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++) group = group << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0);
        for (size_t k = 0; k < 4; k++) out += k <= n ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
}

bool decode_base64(std::string_view text, std::string& out) {
    if (text.size() % 4 != 0) return false;
    for (size_t i = 0; i < text.size(); i += 4) {
        const bool last = i + 4 == text.size();
        const size_t n_padding = !last || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            const uint8_t value = k < 4 - n_padding ? kValues[static_cast<unsigned char>(text[i + k])] : 0;
            if (value == kNone) return false;
            group = group << 6 | value;
        }
        for (size_t k = 0; k < 3 - n_padding; k++) out += static_cast<char>(group >> (16 - 8 * k) & 0xff);
    }
    return true;
}
