// llmc.cpp: reads llm.c's gpt2_tokenizer.bin: 256 little-endian integers, then for each token its length and its bytes.
// The file holds no merges, and none are needed: the rank of a pair is the id of the token that the pair spells.
#include <cstring>

#include "error.h"
#include "text/tokenizer/pretokenize.h"
#include "text/tokenizer/vocabulary.h"

namespace {

constexpr int kOpenAiVocab = 50257;  // always the size in version 1; the last token ends a text

}  // namespace

bool looks_like_llmc_tokenizer(std::string_view data) {
    int32_t magic = 0;
    if (data.size() >= sizeof magic) std::memcpy(&magic, data.data(), sizeof magic);
    return magic == kLlmcTokenizerMagic;
}

Vocabulary read_llmc_tokenizer(std::string_view data, const std::string& source) {
    LlmcTokenizerHeader header;
    if (data.size() < sizeof header)
        fail("{}: expected a header of {} bytes, found a file of {}", source, sizeof header, data.size());
    std::memcpy(&header, data.data(), sizeof header);
    data.remove_prefix(sizeof header);
    const int version = header[1], n = header[2];
    if (version != 1 && version != 2) fail("{}: version: expected 1 or 2, found {}", source, version);
    if (version == 1 && n != kOpenAiVocab)
        fail("{}: vocab_size: expected {}, as version 1 always has, found {}", source, kOpenAiVocab, n);
    const int end_of_text = version == 1 ? kOpenAiVocab - 1 : header[3];
    if (end_of_text < 0 || end_of_text >= n)
        fail("{}: eot_token: expected an id below the {} tokens, found {}", source, n, end_of_text);

    Vocabulary vocabulary(source);
    vocabulary.pattern = kGpt2Pattern;
    for (int id = 0; id < n; id++) {
        const size_t n_bytes = data.empty() ? 0 : static_cast<unsigned char>(data[0]);
        if (n_bytes == 0 || data.size() <= n_bytes)
            fail("{}: token {}: expected a length of 1 to 255 and that many bytes, found {}", source, id,
                 data.empty() || n_bytes > 0 ? "the end of the file" : "a length of 0");
        const std::string_view bytes = data.substr(1, n_bytes);
        data.remove_prefix(1 + n_bytes);
        if (id == end_of_text)
            vocabulary.add_special(id, bytes);
        else
            vocabulary.add_token(id, bytes);
    }
    if (!data.empty()) fail("{}: expected the end after {} tokens, found {} bytes more", source, n, data.size());
    vocabulary.check();
    return vocabulary;
}
