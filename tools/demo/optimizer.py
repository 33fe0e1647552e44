"""optimizer.py: The optimizer: Muon for the matrices inside the layers, AdamW for everything else, under one
learning rate."""

import torch


def orthogonalise(matrices):
    """Newton-Schulz iteration on [n, rows, columns]: drives all singular values to about 1 (Muon, K. Jordan, 2024)."""
    x = matrices.bfloat16()
    is_tall = x.shape[-2] > x.shape[-1]
    if is_tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        product = x @ x.mT
        x = 3.4445 * x + (-4.7750 * product + 2.0315 * product @ product) @ x
    return (x.mT if is_tall else x).float()


class Optimizer:
    MOMENTUM, DECAY = 0.95, 0.02

    def __init__(self, model):
        named = list(model.named_parameters())
        is_inner = {name: p.ndim >= 2 and name.startswith("layers") and "router" not in name for name, p in named}
        by_shape = {}
        for name, parameter in named:
            if is_inner[name]:
                by_shape.setdefault(parameter.shape, []).append(parameter)
        self.groups = list(by_shape.values())  # equal shapes are orthogonalised together
        self.momenta = [[torch.zeros_like(p) for p in group] for group in self.groups]
        self.adam = torch.optim.AdamW([p for name, p in named if not is_inner[name]], betas=(0.9, 0.98),
                                      weight_decay=0.0)

    @torch.no_grad()
    def step(self, rate):
        for group, momenta in zip(self.groups, self.momenta):
            gradients = [p.grad for p in group]
            torch._foreach_lerp_(momenta, gradients, 1 - self.MOMENTUM)
            ahead = torch.stack(torch._foreach_lerp(gradients, momenta, self.MOMENTUM))  # Nesterov
            rows, columns = ahead.shape[-2:]
            # Makes the step as large as AdamW's usual one, whatever the shape (Moonlight, J. Liu et al., 2025).
            updates = orthogonalise(ahead.reshape(-1, rows, columns)).view_as(ahead) * (0.2 * max(rows, columns) ** 0.5)
            torch._foreach_mul_(group, 1 - rate * self.DECAY)
            torch._foreach_add_(group, list(updates.unbind()), alpha=-rate)
        for settings in self.adam.param_groups:
            settings["lr"] = rate
        self.adam.step()
        for group in self.groups:
            for parameter in group:
                parameter.grad = None
        self.adam.zero_grad()
