// fuzz_vocab_and_merges.cpp: any bytes as a vocab.json, a NUL and a merges.txt. What can be read encodes text without
// loss.
#include <cstdint>
#include <cstdlib>

#include "error.h"
#include "text/tokenizer/vocabulary.h"
#include "tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const size_t end = std::min(bytes.find('\0'), bytes.size());
    try {
        const Vocabulary vocabulary = read_vocab_and_merges(bytes.substr(0, end), "vocab",
                                                            bytes.substr(std::min(end + 1, bytes.size())), "merges");
        const Tokenizer tokenizer = Tokenizer::parse(serialize_vocabulary(vocabulary), "again");
        const std::string_view text = "Don't  stöp\r\n\t12345 the 中文 <|endoftext|>!\n ";
        if (tokenizer.decode(tokenizer.encode(text)) != text) std::abort();
    } catch (const Error&) {
    }
    return 0;
}
