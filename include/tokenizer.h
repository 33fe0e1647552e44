// tokenizer.h: text to ids and back, as tiktoken's o200k_harmony does it.
//
// Byte-level BPE over pieces split by the o200k pattern; a token's rank is its id. Special tokens are not part of the
// BPE vocabulary and are matched only if the caller allows it: else text that spells one stays text.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct Model;

class Tokenizer {
  public:
    // tokenizer.json (Hugging Face), a .tiktoken rank file, the family's tokenizer.bin, or a directory that holds one;
    // recognised by content. Throws Error.
    static Tokenizer open(const std::string& path);
    // The tokenizer that belongs to `model`: the given path if not empty, else the container's own, else the file
    // beside the checkpoint. Throws Error if there is none, or if its ids do not fit the model's vocabulary.
    static Tokenizer for_model(const Model& model, const std::string& path = "");

    // The vocabulary, pattern and special tokens in the compact form that a container carries. parse() reads it back.
    std::string serialize() const;
    // The same as a tokenizer.json, for other programs.
    std::string to_json() const;
    // As vocab.json, as merges.txt, as llm.c's gpt2_tokenizer.bin. Throw Error if it has no place there.
    std::string to_vocab_json() const;
    std::string to_merges() const;
    std::string to_llmc() const;
    static Tokenizer parse(std::string_view serialized, const std::string& name);

    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    ~Tokenizer();

    // Text must be UTF-8; throws Error otherwise. Safe to call from several threads.
    std::vector<int> encode(std::string_view text) const;               // special tokens spelled in it are text
    std::vector<int> encode_with_special(std::string_view text) const;  // special tokens spelled in it are special

    // The bytes of a token, or the name of a special token; "" for an id without a token. May be part of a character.
    std::string_view bytes(int id) const;
    std::string decode(const std::vector<int>& ids) const;  // the bytes of all of them

    bool is_special(int id) const;
    std::optional<int> special(std::string_view name) const;  // "<|start|>" → its id
    int id_limit() const;                                     // every id is below this

  private:
    struct Impl;
    explicit Tokenizer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};
