"""evaluate.py: Asks a snapshot held-out prompts of every kind, greedily, and prints how many answers are right.

    evaluate.py DEMO_DIRECTORY [--count 200] [--table FILE] [--mistakes FILE]

Computes in f32 with the snapshot's own weights.
"""

import argparse

import torch

import snapshot
from bpe import Bpe
from corpus import KINDS, held_out_samples
from harmony import EFFORTS

MAX_NEW_TOKENS = 256
BATCH = 768


@torch.no_grad()
def generate(model, prompts, stop_ids, device):
    """Greedy answers to prompts (lists of ids), stop token included."""
    answers = [None] * len(prompts)
    stop = torch.tensor(sorted(stop_ids), device=device)
    longest_first = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    for first in range(0, len(prompts), BATCH):
        chosen = longest_first[first:first + BATCH]
        index = torch.tensor(chosen, device=device)
        lengths = torch.tensor([len(prompts[i]) for i in chosen], device=device)
        ids = torch.zeros(len(chosen), int(lengths[0]) + MAX_NEW_TOKENS, dtype=torch.long)
        for row, i in zip(ids, chosen):
            row[:len(prompts[i])] = torch.tensor(prompts[i])
        ids = ids.to(device)
        for step in range(1, MAX_NEW_TOKENS + 1):
            text = ids[:, :int(lengths.max())]
            positions = torch.arange(text.shape[1], device=device).expand_as(text)
            logits, _ = model(text, positions, torch.zeros_like(text))
            rows = torch.arange(len(ids), device=device)
            token = logits[rows, lengths - 1].argmax(-1)
            ids[rows, lengths] = token
            lengths += 1
            done = torch.isin(token, stop) | (step == MAX_NEW_TOKENS)
            for i, row, length in zip(index[done].tolist(), ids[done].tolist(), lengths[done].tolist()):
                answers[i] = row[len(prompts[i]):length]
            index, ids, lengths = index[~done], ids[~done], lengths[~done]
            if len(index) == 0:
                break
    return answers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--count", type=int, default=200, help="prompts a kind and effort")
    parser.add_argument("--table", default="table.md")
    parser.add_argument("--mistakes", default="mistakes.txt")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()

    bpe, model = Bpe.load(args.directory), snapshot.load(args.directory, torch.device(args.device))
    stop_ids = {bpe.specials[name] for name in ("<|return|>", "<|endoftext|>", "<|call|>")}
    lines = ["| kind | low | medium | high | all |", "|---|---|---|---|---|"]
    tokens = {effort: 0 for effort in EFFORTS}
    results = {}
    with open(args.mistakes, "w", encoding="utf-8") as mistakes:
        for effort in EFFORTS:
            asked = [(kind, s) for kind in KINDS for s in held_out_samples(kind, effort, args.count)]
            answers = generate(model, [bpe.encode(s.prompt_pieces()) for _, s in asked], stop_ids, args.device)
            tokens[effort] = sum(map(len, answers)) / len(answers)
            for (kind, sample), answer in zip(asked, answers):
                text = bpe.decode(answer)
                is_right = sample.is_right(text)
                right, total = results.get((kind, effort), (0, 0))
                results[kind, effort] = right + is_right, total + 1
                if not is_right:
                    mistakes.write(f"--- {kind}, {effort}: {sample.messages[-1].content!r}\n{text}\n"
                                   f"expected: {''.join(sample.answer_pieces())}\n")
    for kind in KINDS:
        cells = [results[kind, effort] for effort in EFFORTS]
        cells.append((sum(right for right, _ in cells), sum(total for _, total in cells)))
        percent = 100 * cells[-1][0] / cells[-1][1]
        lines.append(f"| {kind.replace('_', ' ')} | " + " | ".join(f"{right}/{total}" for right, total in cells)
                     + f" ({percent:.1f} %) |")
    lines.append("\nMean length of an answer in tokens: "
                 + ", ".join(f"{effort} {length:.0f}" for effort, length in tokens.items()) + ".")
    with open(args.table, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
