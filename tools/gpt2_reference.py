#!/usr/bin/env python3
"""gpt2_reference.py: what a GPT-2 in llm.c's file (fp32) answers, computed in float64 by NumPy: what tests compare
with.

  gpt2_reference.py model.bin OUT     writes OUT/reference.json and OUT/logits.f32, as tests/golden/README.md says
"""
import json
import math
import os
import sys

import numpy as np

PROMPT_LENGTHS = (1, 8, 40)  # and one that leaves room for a single token
NEW_TOKENS = 16


def read_model(path):
    """The header's sizes, and all tensors without the rows that pad the vocabulary."""
    h = np.fromfile(path, "<i4", 256)
    assert h[0] == 20240326 and h[1] == 3, "expected llm.c's model file, fp32"
    T, V, L, H, C, Vp = (int(n) for n in h[2:8])
    body, at, P = np.fromfile(path, "<f4", offset=1024), 0, {}
    for name, shape in (("wte", (Vp, C)), ("wpe", (T, C)), ("ln1w", (L, C)), ("ln1b", (L, C)), ("qkvw", (L, 3 * C, C)),
                        ("qkvb", (L, 3 * C)), ("projw", (L, C, C)), ("projb", (L, C)), ("ln2w", (L, C)),
                        ("ln2b", (L, C)), ("fcw", (L, 4 * C, C)), ("fcb", (L, 4 * C)), ("downw", (L, C, 4 * C)),
                        ("downb", (L, C)), ("lnfw", (C,)), ("lnfb", (C,))):
        n = math.prod(shape)
        P[name] = body[at:at + n].reshape(shape).astype(np.float64)
        at += n
    assert at == len(body)
    P["wte"] = P["wte"][:V]
    return {"T": T, "V": V, "L": L, "H": H, "C": C}, P


def layernorm(x, gain, bias):
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt((centered ** 2).mean(-1, keepdims=True) + 1e-5) * gain + bias


def forward(config, P, ids):
    """Logits (tokens, V)."""
    n, H, C = len(ids), config["H"], config["C"]
    future = np.triu(np.full((n, n), -np.inf), 1)
    x = P["wte"][ids] + P["wpe"][:n]
    for l in range(config["L"]):
        qkv = layernorm(x, P["ln1w"][l], P["ln1b"][l]) @ P["qkvw"][l].T + P["qkvb"][l]
        q, k, v = qkv.reshape(n, 3, H, C // H).transpose(1, 2, 0, 3)  # each (H, n, C / H)
        score = q @ k.transpose(0, 2, 1) / math.sqrt(C // H) + future
        weight = np.exp(score - score.max(-1, keepdims=True))
        weight /= weight.sum(-1, keepdims=True)
        x = x + (weight @ v).transpose(1, 0, 2).reshape(n, C) @ P["projw"][l].T + P["projb"][l]
        u = layernorm(x, P["ln2w"][l], P["ln2b"][l]) @ P["fcw"][l].T + P["fcb"][l]
        gelu = 0.5 * u * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u ** 3)))
        x = x + gelu @ P["downw"][l].T + P["downb"][l]
    return layernorm(x, P["lnfw"], P["lnfb"]) @ P["wte"].T


def main(path, out):
    config, P = read_model(path)
    cases, logits = [], b""
    for n in PROMPT_LENGTHS + (config["T"] - 1,):
        prompt = [(7919 * t + 31 * n) % config["V"] for t in range(n)]
        ids, greedy, lead = list(prompt), [], []
        while len(greedy) < NEW_TOKENS and len(ids) < config["T"]:
            last = forward(config, P, ids)[-1]
            best = int(last.argmax())
            lead.append(float(last[best] - np.partition(last, -2)[-2]))
            greedy.append(best)
            ids.append(best)
        rows = forward(config, P, prompt)[-4:].astype("<f4")
        cases.append({"prompt": prompt, "greedy": greedy, "lead": lead,
                      "logits": {"first_position": n - len(rows), "shape": rows.shape, "offset": len(logits)}})
        logits += rows.tobytes()
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "reference.json"), "w") as f:
        json.dump({"config": config, "cases": cases}, f, indent=None, separators=(",", ":"))
        f.write("\n")
    with open(os.path.join(out, "logits.f32"), "wb") as f:
        f.write(logits)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
