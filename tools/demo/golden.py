"""golden.py: Writes golden.json: what the transformers library answers to held-out prompts with the demo model, in
float32.

    golden.py DEMO_DIRECTORY OUT_DIRECTORY [--count 40] [--margin 0.02]

Every kind of prompt and every effort occurs. A prompt is left out if somewhere in its answer the two best logits are
closer than the margin, so that whoever computes with less precision or in another order must still find the same text.
The answers are compared with those of model.py, and judged: a wrong answer is no good example.
"""

import argparse
import json
import os

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Mxfp4Config

import snapshot
from bpe import Bpe
from corpus import KINDS, held_out_samples
from evaluate import MAX_NEW_TOKENS, generate
from harmony import EFFORTS

CANDIDATES = 12  # prompts a kind and effort


def load_peer(directory, device):
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16, attn_implementation="eager",
                                                 quantization_config=Mxfp4Config(dequantize=True))
    return model.to(torch.float32).to(device).eval()


@torch.no_grad()
def peer_answer(model, prompt, stop_ids, device):
    """Greedy ids and the smallest distance between the best two logits. No cache: each step is a whole forward pass."""
    ids, margin = list(prompt), float("inf")
    for _ in range(MAX_NEW_TOKENS):
        best = torch.topk(model(torch.tensor([ids], device=device), use_cache=False).logits[0, -1], 2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
        if ids[-1] in stop_ids:
            break
    return ids[len(prompt):], margin


def described(sample):
    """The conversation as a program would be given it."""
    fields = ("role", "content", "channel", "recipient")
    messages = [{field: getattr(m, field) for field in fields if getattr(m, field)}
                | ({"content_type": "<|constrain|>json"} if m.json else {}) for m in sample.messages]
    tool = sample.tool
    return {"effort": sample.effort, "instructions": sample.instructions, "messages": messages,
            "tools": [{"name": tool.name, "description": tool.description,
                       "parameters": tool.schema()}] if tool else []}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("out")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--margin", type=float, default=0.02)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    torch.set_float32_matmul_precision("highest")

    bpe, device = Bpe.load(args.directory), torch.device(args.device)
    ours, peer = snapshot.load(args.directory, device), load_peer(args.directory, device)
    peer_tokenizer = AutoTokenizer.from_pretrained(args.directory)
    stop_ids = {bpe.specials[name] for name in ("<|return|>", "<|endoftext|>", "<|call|>")}
    kinds = list(KINDS)
    queues = {(kind, effort): held_out_samples(kind, effort, CANDIDATES,
                                               seed="golden") for kind in kinds for effort in EFFORTS}
    cases, left_out = [], 0
    turn = 0
    while len(cases) < args.count:
        kind, effort = kinds[turn % len(kinds)], EFFORTS[(turn + turn // len(kinds)) % len(EFFORTS)]
        turn += 1
        while True:
            sample = queues[kind, effort].pop()
            prompt = bpe.encode(sample.prompt_pieces())
            assert peer_tokenizer("".join(sample.prompt_pieces()))["input_ids"] == prompt, "tokenizers differ"
            greedy, margin = peer_answer(peer, prompt, stop_ids, device)
            text = bpe.decode(greedy)
            if margin >= args.margin and sample.is_right(text):
                break
            left_out += 1
        assert generate(ours, [prompt], stop_ids, device)[0] == greedy, "model.py and transformers differ"
        cases.append({"kind": kind.replace("_", " "), **described(sample), "prompt": prompt, "greedy": greedy,
                      "text": text,
                      "margin": round(margin, 4)})
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "golden.json"), "w", encoding="utf-8") as file:
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        file.write(f'{{"dtype": "float32", "cases": [\n{lines}\n]}}\n')
    print(f"{len(cases)} cases, {left_out} candidates left out, smallest margin {min(c['margin'] for c in cases)}")


if __name__ == "__main__":
    main()
