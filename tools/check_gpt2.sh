#!/bin/sh
# check_gpt2.sh: whether OpenAI's GPT-2 124M, from any of its files, says here what it says elsewhere: the likeliest
# tokens after the end of a text. The weights may not be at hand, so tests run it with a small model and TEXT of it.
#
#   tools/check_gpt2.sh gpt2_124M.bin [TEXT]   # with gpt2_tokenizer.bin beside it, or a Hugging Face snapshot
#   RUN=PROGRAM                                # another than ./run
set -eu
model=${1:?"expected a model: gpt2_124M.bin or a Hugging Face snapshot of gpt2"}
expected=${2:-The first time I saw the new version of the game, I was so excited. I was}
found=$("${RUN:-$(dirname "$0")/../run}" "$model" -T 0 -n 21)
case $found in
"$expected"*) echo "$model: as expected: $expected" ;;
*)
    echo "$model: expected \"$expected\", found \"$found\"" >&2
    exit 1
    ;;
esac
