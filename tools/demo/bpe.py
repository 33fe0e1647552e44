"""bpe.py: The tokenizer: byte-level BPE with the o200k splitting pattern, trained on the corpus, kept in Hugging
Face's form.

    bpe.py DEMO_DIRECTORY [--samples 40000]     writes tokenizer.json and tokenizer_config.json

Ids are given in merge order, so that a token's rank is its id, as tiktoken has it. No merge joins digits: the model
adds column by column and must see each digit. No token is learned from a content word either, and none covers more than
three letters of one: words are spelt and copied by short pieces that they share, so what is learned of some words holds
for words never seen.
"""

import argparse
import functools
import json
import os
from collections import Counter, defaultdict

import regex

from corpus import training_sample
from harmony import SPECIALS
from lexicon import content_words

VOCAB_SIZE = 2048  # bytes, merges and special tokens

_LETTERS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = "|".join((
    rf"[^\r\n\p{{L}}\p{{N}}]?{_LETTERS[0]}*{_LETTERS[1]}+{_CONTRACTION}",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_LETTERS[0]}+{_LETTERS[1]}*{_CONTRACTION}",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
))


def byte_level_alphabet():
    """GPT-2's: printable Latin-1 stands for itself, the other 68 bytes, in order, are U+0100 and on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(0x100 + i) for i, byte in enumerate(others)}


ALPHABET = byte_level_alphabet()


def merge_pair(tokens, pair):
    """`tokens` with each `pair`, from the left, made one."""
    merged, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i:i + 2]) == pair:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def is_content_word(token):
    return token.decode(errors="replace").strip(" \"'").lower() in content_words()


@functools.cache
def is_allowed(token):
    letters = token.decode(errors="replace").strip(" \"'").lower()
    hides_word = letters in content_words() or (len(letters) > 3 and any(letters in word for word in content_words()))
    return not any(byte in b"0123456789" for byte in token) and not hides_word


def train(word_counts, n_merges):
    """The most frequent pair first; among equals the smaller. Returns the merged tokens in order."""
    words = [[bytes([byte]) for byte in word] for word in word_counts]
    counts = list(word_counts.values())
    pairs, where = Counter(), defaultdict(set)

    def count_word(i, sign):
        for pair in zip(words[i], words[i][1:]):
            if is_allowed(pair[0] + pair[1]):
                pairs[pair] += sign * counts[i]
                where[pair].add(i)

    for i in range(len(words)):
        count_word(i, 1)
    tokens = []
    while len(tokens) < n_merges:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if best[0] + best[1] not in tokens:
            tokens.append(best[0] + best[1])
        for i in where.pop(best):
            count_word(i, -1)
            words[i] = merge_pair(words[i], best)
            count_word(i, 1)
        del pairs[best]
    return tokens


class Bpe:
    """Encodes as tiktoken does: of all adjacent pairs the one whose concatenation has the lowest id is merged first."""

    def __init__(self, tokens, specials=SPECIALS):
        self.tokens = list(tokens)
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.specials = {name: len(self.tokens) + i for i, name in enumerate(specials)}
        self.names = {i: name for name, i in self.specials.items()}
        self.encode_piece = functools.cache(self.encode_piece)

    @classmethod
    def load(cls, directory):
        with open(os.path.join(directory, "tokenizer.json"), encoding="utf-8") as file:
            content = json.load(file)
        byte_of = {character: byte for byte, character in ALPHABET.items()}
        vocabulary = sorted(content["model"]["vocab"].items(), key=lambda item: item[1])
        added = sorted(content["added_tokens"], key=lambda token: token["id"])
        return cls([bytes(byte_of[c] for c in text) for text, _ in vocabulary], [token["content"] for token in added])

    def encode_piece(self, piece):
        parts = [bytes([byte]) for byte in piece]
        while len(parts) > 1:
            ranks = [self.ids.get(a + b, len(self.ids)) for a, b in zip(parts, parts[1:])]
            i = min(range(len(ranks)), key=ranks.__getitem__)
            if ranks[i] == len(self.ids):
                break
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return tuple(self.ids[part] for part in parts)

    def encode(self, pieces):
        """Ids of rendered pieces: special tokens by name, and text."""
        ids = []
        for piece in pieces:
            if piece in self.specials:
                ids.append(self.specials[piece])
            else:
                for match in regex.findall(PATTERN, piece):
                    ids += self.encode_piece(match.encode())
        return ids

    def decode(self, ids):
        """Text with special tokens spelt out."""
        parts = (self.names[i].encode() if i in self.names else self.tokens[i] for i in ids)
        return b"".join(parts).decode(errors="replace")

    def save(self, directory):
        spell = lambda token: "".join(ALPHABET[byte] for byte in token)
        vocabulary = {spell(token): i for token, i in self.ids.items()}
        # As for o200k: every split of a token into two others, by the rank of the whole, then of the parts.
        merges = [[spell(token[:cut]), spell(token[cut:])] for token in self.tokens
                  for cut in sorted(range(1, len(token)), key=lambda c: (self.ids.get(token[:c], 0), c))
                  if token[:cut] in self.ids and token[cut:] in self.ids]
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        content = {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
                              "normalized": False, "special": True} for name, i in self.specials.items()],
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}, byte_level]},
            "post_processor": byte_level, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                      "vocab": vocabulary, "merges": merges},
        }
        write_json(os.path.join(directory, "tokenizer.json"), content, indent=None)
        write_json(os.path.join(directory, "tokenizer_config.json"), {
            "bos_token": "<|startoftext|>", "eos_token": "<|return|>", "pad_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False, "tokenizer_class": "PreTrainedTokenizerFast"})


def write_json(path, content, indent=2):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=indent)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--samples", type=int, default=40000)
    args = parser.parse_args()
    word_counts = Counter()
    for i in range(args.samples):
        sample = training_sample("tokenizer", i)
        for piece in sample.prompt_pieces() + sample.answer_pieces():
            if piece not in SPECIALS:
                word_counts.update(match.encode() for match in regex.findall(PATTERN, piece))
    word_counts = Counter({word: count for word, count in word_counts.items() if not is_content_word(word)})
    merged = train(word_counts, VOCAB_SIZE - 256 - len(SPECIALS))
    os.makedirs(args.directory, exist_ok=True)
    Bpe([bytes([byte]) for byte in range(256)] + merged).save(args.directory)
    print(f"{args.directory}: {VOCAB_SIZE} tokens, the last merge is {merged[-1]!r}")


if __name__ == "__main__":
    main()
