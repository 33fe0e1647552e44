"""train.py: Trains the demo model on one GPU and writes it as a snapshot.

    train.py DEMO_DIRECTORY [--steps N] [--loss-file FILE]

DEMO_DIRECTORY holds the tokenizer. Matrix products are bf16, master weights f32; in every step's forward pass the
experts are MXFP4 and all other weights bf16, so that the snapshot computes what was trained.
"""

import argparse
import functools
import math
import multiprocessing
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import snapshot
from bpe import Bpe, write_json
from corpus import training_sample
from model import CONFIG, GptOss
from optimizer import Optimizer

ROW = 512  # tokens a packed row; no sample is longer
CHUNK = 2000  # samples a work item
PEAK_RATE = 4e-3
WARM_UP = 200  # steps
BALANCE_WEIGHT = 0.01


def packed_rows(first, directory, seed):
    """CHUNK samples in rows: [n, 4, ROW] of ids, positions, document numbers, and whether a token is to be learned."""
    bpe = load_bpe(directory)
    rows, space = [], []
    for i in range(first, first + CHUNK):
        sample = training_sample(seed, i)
        prompt, answer = bpe.encode(sample.prompt_pieces()), bpe.encode(sample.answer_pieces())
        n = len(prompt) + len(answer)
        at = next((r for r in range(max(0, len(rows) - 20), len(rows)) if space[r] >= n), len(rows))
        if at == len(rows):
            rows.append(np.zeros((4, ROW), np.int16))
            space.append(ROW)
        begin = ROW - space[at]
        rows[at][:, begin:begin + n] = prompt + answer, range(n), [i - first
                                                                   + 1] * n, [0] * len(prompt) + [1] * len(answer)
        space[at] -= n
    return np.stack(rows)


@functools.cache
def load_bpe(directory):
    return Bpe.load(directory)


def make_corpus(directory, n_samples, seed):
    work = functools.partial(packed_rows, directory=directory, seed=seed)
    with multiprocessing.Pool() as pool:
        return torch.from_numpy(np.concatenate(pool.map(work, range(0, n_samples, CHUNK), chunksize=1)))


def loss_of(model, batch):
    """Mean cross entropy of the tokens to be learned, and the balance of the experts."""
    ids, positions, documents, learned = batch.unbind(1)
    logits, balance = model(ids, positions, documents)
    wanted = learned[:, 1:].bool() & (documents[:, 1:] == documents[:, :-1])
    losses = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    wanted = wanted.flatten()
    return (losses * wanted).sum() / wanted.sum(), balance


def rate_at(step, steps):
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    return PEAK_RATE * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (steps - WARM_UP))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--samples", type=int, default=800000)
    parser.add_argument("--rows", type=int, default=128, help="rows a step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loss-file", default="loss.json")
    args = parser.parse_args()

    began = time.time()
    corpus = make_corpus(args.directory, args.samples, args.seed).cuda()
    n_tokens = int((corpus[:, 2] > 0).sum())
    print(f"corpus: {args.samples} samples, {n_tokens} tokens, {len(corpus)} rows, {time.time() - began:.0f} s",
          flush=True)

    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    model = GptOss(CONFIG, compute=torch.bfloat16).cuda()
    n_parameters = sum(p.numel() for p in model.parameters())
    optimizer = Optimizer(model)
    compiled_loss = torch.compile(functools.partial(loss_of, model))
    order, curve = torch.empty(0, dtype=torch.long), []
    began = time.time()
    for step in range(args.steps):
        if len(order) < args.rows:
            order = torch.randperm(len(corpus))
        chosen, order = order[:args.rows], order[args.rows:]
        loss, balance = compiled_loss(corpus[chosen.cuda()].long())
        (loss + BALANCE_WEIGHT * balance).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(rate_at(step, args.steps))
        if step % 20 == 0 or step + 1 == args.steps:
            curve.append((step, round(loss.item(), 5)))
        if step % 200 == 0 or step + 1 == args.steps:
            print(f"step {step}: loss {loss.item():.4f}, balance {balance.item():.3f}, {time.time() - began:.0f} s",
                  flush=True)

    snapshot.save(model, args.directory)
    write_json(args.loss_file, {"gpu": torch.cuda.get_device_name(), "minutes": round((time.time() - began) / 60, 2),
                                "steps": args.steps, "tokens_a_step": args.rows * ROW, "samples": args.samples,
                                "corpus_tokens": n_tokens, "parameters": n_parameters, "curve": curve}, indent=None)
    size = os.path.getsize(os.path.join(args.directory, "model.safetensors"))
    peak = torch.cuda.max_memory_allocated() >> 20
    print(f"{args.directory}: {n_parameters} parameters, {size} bytes, peak {peak} MiB")


if __name__ == "__main__":
    main()
