#!/bin/sh
# check_gpt2.sh: whether OpenAI's GPT-2 124M, from any of its files, says here what it says elsewhere: the likeliest
# tokens after the end of a text. Needs the weights, which may not be at hand, so no test runs it.
#
#   tools/check_gpt2.sh gpt2_124M.bin        # with gpt2_tokenizer.bin beside it, or a Hugging Face snapshot
set -eu
model=${1:?"expected a model: gpt2_124M.bin or a Hugging Face snapshot of gpt2"}
expected="The first time I saw the new version of the game, I was so excited. I was"
found=$("$(dirname "$0")/../run" "$model" -T 0 -n 21)
case $found in
"$expected"*) echo "$model: as expected: $expected" ;;
*)
    echo "$model: expected \"$expected\", found \"$found\"" >&2
    exit 1
    ;;
esac
