"""mxfp4.py: MXFP4 (OCP MX specification): groups of 32 along the input dimension, E2M1 values, one E8M0 scale a
group."""

import torch

GROUP = 32
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # code & 7; code & 8 is the sign


def quantise(weight):
    """Codes of all elements [..., groups, 32] and exponents [..., groups, 1]: weight ≈ value(code) * 2^exponent.

    The largest element of a group comes to lie in [3.5, 7): up to 7, 6 is nearer with this scale than with the next.
    """
    groups = weight.float().unflatten(-1, (-1, GROUP))
    largest = groups.abs().amax(-1, keepdim=True).clamp(min=2.0 ** -100)
    exponents = torch.floor(torch.log2(largest * (8 / 7))) - 2
    scaled = groups * torch.exp2(-exponents)
    magnitudes = torch.tensor(MAGNITUDES, device=weight.device)
    codes = torch.bucketize(scaled.abs(), (magnitudes[1:] + magnitudes[:-1]) / 2)
    return codes + 8 * (scaled < 0), exponents


def dequantise(codes, exponents):
    magnitudes = torch.tensor(MAGNITUDES, device=codes.device)
    values = magnitudes[codes & 7] * (1 - 2 * (codes >> 3))
    return (values * torch.exp2(exponents)).flatten(-2)


def pack(weight):
    """`blocks` [..., groups, 16] and `scales` [..., groups] as in checkpoints: even elements in the low nibble."""
    codes, exponents = quantise(weight)
    blocks = codes[..., 0::2] | codes[..., 1::2] << 4
    return blocks.to(torch.uint8), (exponents.squeeze(-1) + 127).to(torch.uint8)


def unpack(blocks, scales):
    codes = torch.stack((blocks & 15, blocks >> 4), -1).flatten(-2).long()
    return dequantise(codes, scales.float().unsqueeze(-1) - 127)


def round_through(weight):
    """MXFP4 in the forward pass, the identity in the backward pass."""
    return weight + (dequantise(*quantise(weight.detach())) - weight.detach())
