// pretokenize.h: cuts text into the pieces that BPE works on, by the tokenizer's regular expression.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct pcre2_real_code_8;  // pcre2.h's pcre2_code

// The pattern of o200k_base and o200k_harmony, for the sources that do not carry one.
extern const std::string_view kO200kPattern;
// GPT-2's.
extern const std::string_view kGpt2Pattern;

class Pretokenizer {
  public:
    // `source`: the file that the pattern is from. Throws Error if it is no regular expression.
    Pretokenizer(const std::string& pattern, const std::string& source);

    // Calls `piece` with each match of the pattern and with the text between matches, in order: together they are
    // `text`, which is valid UTF-8. Throws Error if the pattern needs too much backtracking. Several threads may call
    // it.
    void split(std::string_view text, const std::function<void(std::string_view)>& piece) const;

  private:
    std::string source_;
    std::shared_ptr<const pcre2_real_code_8> code_;
};

// `text` as PCRE2 should see it: characters for which it has another category than Unicode 16 are replaced by
// characters of the right category and the same number of bytes. Returns `text` itself if there are none, else a view
// of `storage`.
std::string_view with_stand_ins(std::string_view text, std::string& storage);
