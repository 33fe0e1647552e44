"""snapshot.py: Writes the trained model as a Hugging Face snapshot with MXFP4 experts, and reads one back."""

import json
import os

import torch
from safetensors.torch import load_file, save_file

import mxfp4
from bpe import Bpe, write_json
from model import CONFIG, GptOss

EXPERT_MATRICES = ("gate_up_proj", "down_proj")


def checkpoint_name(name):
    """The name that a parameter of GptOss has in Hugging Face checkpoints."""
    if name == "lm_head":
        return "lm_head.weight"
    if name == "embed_tokens" or name == "norm" or name.endswith("layernorm"):
        name += ".weight"
    if ".mlp." in name and "router" not in name:
        name = name.replace(".mlp.", ".mlp.experts.")
    return "model." + name


def save(model, directory):
    """Writes config.json, generation_config.json and model.safetensors beside the tokenizer.json in `directory`."""
    specials = Bpe.load(directory).specials
    tensors = {}
    for name, parameter in model.named_parameters():
        name, weight = checkpoint_name(name), parameter.detach()
        if name.endswith(EXPERT_MATRICES):
            tensors[f"{name}_blocks"], tensors[f"{name}_scales"] = mxfp4.pack(weight)
        else:
            tensors[name] = weight.bfloat16()
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
              os.path.join(directory, "model.safetensors"), {"format": "pt"})
    pad, stop, call = (specials[name] for name in ("<|endoftext|>", "<|return|>", "<|call|>"))
    write_json(os.path.join(directory, "config.json"), CONFIG | {"eos_token_id": stop, "pad_token_id": pad})
    write_json(os.path.join(directory, "generation_config.json"), {
        "bos_token_id": specials["<|startoftext|>"], "do_sample": False, "eos_token_id": [stop, pad, call],
        "pad_token_id": pad, "transformers_version": CONFIG["transformers_version"]})


def load(directory, device):
    """The model in f32 with the very weights of the snapshot."""
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        model = GptOss(json.load(file), is_training_weights=False).to(device)
    tensors = load_file(os.path.join(directory, "model.safetensors"), device=str(device))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            name = checkpoint_name(name)
            if name.endswith(EXPERT_MATRICES):
                parameter.copy_(mxfp4.unpack(tensors[f"{name}_blocks"], tensors[f"{name}_scales"]))
            else:
                parameter.copy_(tensors[name])
    return model.eval()
