// fuzz_tokenizer.cpp: any bytes as a tokenizer file, as text, and as a stream of bytes to show.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/utf8.h"
#include "error.h"
#include "text/tokenizer/vocabulary.h"
#include "tokenizer.h"
#include "utf8_stream.h"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

// What can be read can be written, read again, and encodes text without loss.
void read_as_file(std::string_view bytes) {
    const std::string serialized = serialize_vocabulary(read_vocabulary(bytes, "file"));
    const Tokenizer tokenizer = Tokenizer::parse(serialized, "again");
    require(tokenizer.serialize() == serialized);
    const std::string_view text = "Don't  stöp\r\n\t12345 ababab 中文\u0301 <|start|>!\n ";
    require(tokenizer.decode(tokenizer.encode(text)) == text);
    tokenizer.encode_with_special(text);
}

Tokenizer small_tokenizer() {
    Vocabulary vocabulary("small");
    for (int b = 0; b < 256; b++) {
        const char byte = static_cast<char>(b);
        vocabulary.add_token(b, {&byte, 1});
    }
    int id = 256;
    for (const char* token : {"ab", "ba", "abab", "  ", "\xc3\xa9", "<|", "he", "ll", "hello"})
        vocabulary.add_token(id++, token);
    for (const char* name : {"<|a|>", "<|a|><|a|>", "é"}) vocabulary.add_special(id++, name);
    return Tokenizer::parse(serialize_vocabulary(vocabulary), "small");
}

void read_as_text(std::string_view bytes) {
    static const Tokenizer tokenizer = small_tokenizer();
    require(tokenizer.decode(tokenizer.encode(bytes)) == bytes);
    require(tokenizer.decode(tokenizer.encode_with_special(bytes)) == bytes);
}

// In portions of the sizes that the bytes themselves give: the same text as in one portion, and always UTF-8.
void read_as_stream(std::string_view bytes) {
    Utf8Stream whole, in_portions;
    std::string expected = whole.feed(bytes);
    expected += whole.finish();
    std::string text;
    const auto show = [&](const std::string& part) {
        require(utf8_valid_prefix(part) == part.size());
        text += part;
    };
    for (size_t i = 0, n; i < bytes.size(); i += n) {
        n = std::min<size_t>(size_t(bytes[i] & 3) + 1, bytes.size() - i);
        show(in_portions.feed(bytes.substr(i, n)));
    }
    show(in_portions.finish());
    require(text == expected);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    for (void (*read)(std::string_view) : {read_as_file, read_as_text, read_as_stream}) {
        try {
            read(bytes);
        } catch (const Error&) {
        }
    }
    return 0;
}
