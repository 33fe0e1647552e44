"""model.py: gpt-oss in PyTorch, small and whole: sliding and full layers, sinks, YaRN, biases, routed experts,
clamped SwiGLU.

Written for training: whole sequences, packed documents, every expert computed for every token.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

import mxfp4

N_LAYERS = 6
SWIGLU_ALPHA = 1.702

CONFIG = {
    "architectures": ["GptOssForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "eos_token_id": None,  # set on export, as the tokenizer has it
    "experts_per_token": 2,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 192,
    "initial_context_length": 1024,
    "initializer_range": 0.02,
    "intermediate_size": 192,
    "layer_types": ["sliding_attention", "full_attention"] * (N_LAYERS // 2),
    "max_position_embeddings": 4096,
    "model_type": "gpt_oss",
    "num_attention_heads": 8,
    "num_experts_per_tok": 2,
    "num_hidden_layers": N_LAYERS,
    "num_key_value_heads": 2,
    "num_local_experts": 8,
    "output_router_logits": False,
    "pad_token_id": None,  # set on export
    "quantization_config": {
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens",
                                   "lm_head"],
        "quant_method": "mxfp4",
    },
    "rms_norm_eps": 1e-05,
    "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 4.0, "original_max_position_embeddings": 1024,
                     "rope_type": "yarn", "truncate": False},
    "rope_theta": 150000,
    "router_aux_loss_coef": 0.9,
    "sliding_window": 64,
    "swiglu_limit": 7.0,
    "tie_word_embeddings": False,
    "transformers_version": "4.55.0.dev0",
    "use_cache": True,
    "vocab_size": 2048,
}


def bf16_through(weight):
    """bf16 in the forward pass, the identity in the backward pass."""
    return weight + (weight.detach().bfloat16().float() - weight.detach())


def rope_table(config):
    """YaRN, NTK by parts without truncation: inverse frequencies [head_dim / 2], and the factor of cos and sin."""
    rope, half = config["rope_scaling"], config["head_dim"] // 2
    index = torch.arange(half, dtype=torch.float64)
    base = config["rope_theta"] ** -(index / half)

    def turns_to_index(turns):
        context = rope["original_max_position_embeddings"]
        return half * math.log(context / (turns * 2 * math.pi)) / math.log(config["rope_theta"])
    low, high = turns_to_index(rope["beta_fast"]), turns_to_index(rope["beta_slow"])
    ramp = ((index - low) / (high - low)).clamp(0, 1)
    return (base * (1 - ramp) + base / rope["factor"] * ramp).float(), 0.1 * math.log(rope["factor"]) + 1


def rotate(x, cos, sin):
    """x [B, T, heads, head_dim]; the two halves of a head are the pairs' two coordinates."""
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, self.head_dim = config["hidden_size"], config["head_dim"]
        self.n_heads, self.n_kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.q_proj = nn.Linear(hidden, self.n_heads * self.head_dim)
        self.k_proj = nn.Linear(hidden, self.n_kv_heads * self.head_dim)
        self.v_proj = nn.Linear(hidden, self.n_kv_heads * self.head_dim)
        self.o_proj = nn.Linear(self.n_heads * self.head_dim, hidden)
        self.sinks = nn.Parameter(torch.zeros(self.n_heads))

    def forward(self, x, cos, sin, hidden_keys, linear, rounded):
        q = rotate(linear(x, self.q_proj).unflatten(-1, (self.n_heads, self.head_dim)), cos, sin)
        k = rotate(linear(x, self.k_proj).unflatten(-1, (self.n_kv_heads, self.head_dim)), cos, sin)
        v = linear(x, self.v_proj).unflatten(-1, (self.n_kv_heads, self.head_dim))
        group = self.n_heads // self.n_kv_heads  # consecutive query heads share a key head
        q = q.unflatten(2, (self.n_kv_heads, group))
        scores = torch.einsum("bikgd,bjkd->bkgij", q, k).float() * self.head_dim ** -0.5
        scores = scores.masked_fill(hidden_keys[:, None, None], -torch.inf)
        sinks = rounded(self.sinks).view(1, self.n_kv_heads, group, 1, 1)
        peak = torch.maximum(scores.amax(-1, keepdim=True), sinks).detach()
        weights = torch.exp(scores - peak)
        weights = weights / (weights.sum(-1, keepdim=True) + torch.exp(sinks - peak))
        mixed = torch.einsum("bkgij,bjkd->bikgd", weights.to(v.dtype), v)
        return linear(mixed.flatten(2), self.o_proj)


class Experts(nn.Module):
    """Weights as [expert, output, input]; the rows of gate and up alternate."""

    def __init__(self, config):
        super().__init__()
        n, hidden, inner = config["num_local_experts"], config["hidden_size"], config["intermediate_size"]
        self.limit, self.top_k = config["swiglu_limit"], config["num_experts_per_tok"]
        self.router = nn.Linear(hidden, n)
        self.gate_up_proj = nn.Parameter(torch.empty(n, 2 * inner, hidden))
        self.gate_up_proj_bias = nn.Parameter(torch.zeros(n, 2 * inner))
        self.down_proj = nn.Parameter(torch.empty(n, hidden, inner))
        self.down_proj_bias = nn.Parameter(torch.zeros(n, hidden))

    def forward(self, x, linear, rounded, quantised):
        logits = linear(x, self.router).float()
        top = torch.topk(logits, self.top_k)
        shares = torch.zeros_like(logits).scatter(-1, top.indices, torch.softmax(top.values, -1))
        both = torch.einsum("...h,eoh->e...o", x, quantised(self.gate_up_proj).to(x.dtype)).float()
        gate, up = (both + rounded(self.gate_up_proj_bias)[:, None, None]).unflatten(-1, (-1, 2)).unbind(-1)
        gate, up = gate.clamp(max=self.limit), up.clamp(-self.limit, self.limit)
        inner = (gate * torch.sigmoid(SWIGLU_ALPHA * gate) * (up + 1)).to(x.dtype)
        out = torch.einsum("e...i,ehi->e...h", inner, quantised(self.down_proj).to(x.dtype)).float()
        out = ((out + rounded(self.down_proj_bias)[:, None, None]) * shares.movedim(-1, 0).unsqueeze(-1)).sum(0)
        # How evenly experts are used: 1 if each gets as many tokens as the others (Switch Transformers, equation 4).
        used = (shares > 0).float().flatten(0, -2).mean(0) / self.top_k
        balance = (used * torch.softmax(logits, -1).flatten(0, -2).mean(0)).sum() * len(used)
        return out, balance


class Layer(nn.Module):
    def __init__(self, config, kind):
        super().__init__()
        self.is_sliding = kind == "sliding_attention"
        self.input_layernorm = nn.Parameter(torch.ones(config["hidden_size"]))
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.Parameter(torch.ones(config["hidden_size"]))
        self.mlp = Experts(config)


class GptOss(nn.Module):
    """While `is_training_weights`, weights are f32 and rounded on use to what a checkpoint can hold."""

    def __init__(self, config, is_training_weights=True, compute=torch.float32):
        super().__init__()
        self.config, self.compute = config, compute
        self.rounded = bf16_through if is_training_weights else lambda weight: weight
        self.quantised = mxfp4.round_through if is_training_weights else lambda weight: weight
        shape = config["vocab_size"], config["hidden_size"]
        self.embed_tokens = nn.Parameter(torch.empty(shape))
        self.layers = nn.ModuleList(Layer(config, kind) for kind in config["layer_types"])
        self.norm = nn.Parameter(torch.ones(config["hidden_size"]))
        self.lm_head = nn.Parameter(torch.empty(shape))
        frequencies, self.rope_factor = rope_table(config)
        self.register_buffer("frequencies", frequencies, persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                is_table = name in ("embed_tokens", "lm_head")
                nn.init.normal_(parameter, std=0.05 if is_table else parameter.shape[-1] ** -0.5)
            elif name.endswith("proj.bias") or name.endswith("router.bias"):
                nn.init.zeros_(parameter)

    def linear(self, x, module):
        weight, bias = self.rounded(module.weight), self.rounded(module.bias)
        return F.linear(x, weight.to(x.dtype), bias.to(x.dtype))

    def rms_norm(self, x, gain):
        normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return (normed * self.rounded(gain)).to(self.compute)

    def forward(self, ids, positions, documents):
        """Logits [B, T, vocab] in f32 and the mean load balance. Tokens see only earlier ones of their own document."""
        angles = positions[..., None, None] * self.frequencies
        cos, sin = torch.cos(angles) * self.rope_factor, torch.sin(angles) * self.rope_factor
        distance = positions[:, :, None] - positions[:, None, :]
        foreign = (documents[:, :, None] != documents[:, None, :]) | (distance < 0)
        distant = foreign | (distance >= self.config["sliding_window"])
        x = self.rounded(self.embed_tokens)[ids]
        balances = []
        for layer in self.layers:
            hidden_keys = distant if layer.is_sliding else foreign
            x = x + layer.self_attn(self.rms_norm(x, layer.input_layernorm), cos, sin, hidden_keys, self.linear,
                                    self.rounded)
            out, balance = layer.mlp(self.rms_norm(x, layer.post_attention_layernorm), self.linear, self.rounded,
                                     self.quantised)
            x = x + out
            balances.append(balance)
        logits = F.linear(self.rms_norm(x, self.norm), self.rounded(self.lm_head).to(self.compute)).float()
        return logits, torch.stack(balances).mean()
