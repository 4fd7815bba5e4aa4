"""The preset ``released`` against what the authors' public code is known to compute.

The oracle below is written from a description of that code, with one tensor for each of its
parameters, sequences in place of hooks, and the optimiser's formula in place of the optimiser.
"""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from dmp.backbones import DiT
from dmp.methods import Variant
from dmp.methods.patched import AttachedPatch
from dmp.patching import Patch, patch
from dmp.training.objective import Objective

BLOCKS, TOKENS, WIDTH, BATCH = 3, 64, 16, 4
LEARNING_RATE = 1e-3
VARIANTS = [
    "released",
    "released,depth=2",
    "released,type=hard",
    "released,position=prepend,prompts=50",
    "released,depth=1,position=prepend,prompts=50",
    "released,depth=2,position=prepend,prompts=50,type=hard",
]


class Oracle:
    """The released method at one backbone, whose blocks are called one after the other."""

    def __init__(self, model: DiT, depth: int, prompts: int, prepend: bool, hard: bool) -> None:
        self.model, self.depth, self.count = model, depth, prompts
        self.prepend, self.hard = prepend, hard
        self.values = {
            "prompts": torch.zeros(depth, prompts, WIDTH),
            "gate": torch.zeros(prompts, WIDTH + 1),  # the last column meets the block's index
            "bias": torch.zeros(prompts),
            "noise": torch.zeros(WIDTH, prompts),
        }
        self.moments = {name: (0 * v, 0 * v) for name, v in self.values.items()}
        self.steps = 0

    def forward(self, x: Tensor, t: Tensor, y: Tensor, noise: Tensor | None) -> tuple:
        """Return the output, and each patched block's clean and noisy logits, sd and gates."""
        model, v = self.model, self.values
        embedded = model.t_embedder.forward(t)
        condition = embedded + model.y_embedder.forward(y)
        seen = embedded if self.prepend else condition
        sequence = model.x_embedder.forward(x) + model.pos_embed
        records = []
        for i, block in enumerate(model.blocks):
            if i < self.depth:
                clean = seen @ v["gate"][:, :-1].T + i * v["gate"][:, -1] + v["bias"]
                spread = softplus(seen @ v["noise"]) + 0.01
                noisy = clean if noise is None else clean + noise[:, i] * spread
                gates = self.gates(noisy)
                records.append((clean, noisy, spread, gates))
                added = gates.unsqueeze(2) * v["prompts"][i]
                if not self.prepend:
                    sequence = sequence + added
                elif i == 0:
                    sequence = torch.cat([added, sequence], 1)
                else:
                    sequence = torch.cat([added, sequence[:, self.count :]], 1)
            sequence = block.forward(sequence, condition)
        if self.prepend:
            sequence = sequence[:, self.count :]
        return model.unpatchify(model.final_layer.forward(sequence, condition)), records

    def gates(self, logits: Tensor) -> Tensor:
        if not self.hard:
            return logits.exp() / logits.exp().sum(1, keepdim=True)
        rows = []
        for row in logits:
            kept = row.argsort(descending=True)[: int(0.75 * self.count)]
            rows.append(torch.zeros_like(row).index_copy(0, kept, row[kept].softmax(0)))
        return torch.stack(rows)

    def importance(self, records: list) -> Tensor:
        total = sum(gates for *_, gates in records).flatten()
        centred = total - total.mean()
        return (centred @ centred) / (len(total) - 1) / (total.mean() ** 2 + 1e-10)

    def load(self, records: list) -> Tensor:
        """With hard selection: chances to be kept when one's own noise is drawn again, summed."""
        if not self.hard:
            return torch.stack([(gates < 0).sum() for *_, gates in records]).float().mean()
        kept, blocks = int(0.75 * self.count), []
        for clean, noisy, spread, _ in records:
            chances = []
            for n in range(self.count):
                others = torch.cat([noisy[:, :n], noisy[:, n + 1 :]], 1)
                least = others.sort(1, descending=True).values[:, kept - 1]
                chances.append(torch.erfc((least - clean[:, n]) / spread[:, n] / math.sqrt(2)) / 2)
            blocks.append(sum(chances).sum())
        return sum(blocks) / len(blocks)

    def update(self, gradients: dict[str, Tensor]) -> None:
        """AdamW without weight decay; the gate learns ten times as fast as the prompts."""
        self.steps += 1
        for name, gradient in gradients.items():
            first, second = self.moments[name]
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            self.moments[name] = first, second
            step = first / (1 - 0.9**self.steps)
            step = step / ((second / (1 - 0.999**self.steps)).sqrt() + 1e-8)
            rate = LEARNING_RATE * (1 if name == "prompts" else 10)
            self.values[name] = self.values[name].detach() - rate * step


def theirs(attached: Patch) -> dict[str, nn.Parameter]:
    """Return the patch's parameters by the oracle's names."""
    linear = attached.gate.linear
    return {
        "prompts": attached.prompts, "gate": linear.weight, "bias": linear.bias,
        "noise": attached.gate.noise,
    }  # fmt: skip


def both(name: str) -> tuple[DiT, Patch, Oracle]:
    """Return a patched backbone with random weights and ten classes, and the oracle for it."""
    model = DiT(16, 2, 1, hidden_size=WIDTH, depth=BLOCKS, num_heads=2, num_classes=10)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    config = Variant.parse(name).patch
    depth = BLOCKS if config.depth == "all" else config.depth
    prepend = config.position == "prepend"
    oracle = Oracle(model, depth, 50 if prepend else TOKENS, prepend, config.type == "hard")
    return model, patch(model, config), oracle


def randomise(attached: Patch, oracle: Oracle) -> None:
    generator = torch.Generator().manual_seed(1)
    for name, parameter in theirs(attached).items():
        # Prompts as large as the tokens, since a softmax over 64 makes little of them.
        value = torch.randn(parameter.shape, generator=generator)
        oracle.values[name] = value * (20 if name == "prompts" else 0.3)
        parameter.data.copy_(oracle.values[name])


def batch(step: int, attached: Patch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(BATCH, 1, 16, 16, generator=generator)
    t = torch.randint(0, 1000, (BATCH,), generator=generator)
    y = torch.randint(0, 10, (BATCH,), generator=generator)
    return x, t, y, torch.randn(BATCH, *attached.noise_shape, generator=generator)


@pytest.mark.parametrize("name", VARIANTS)
def test_released_forward_losses_and_gradients_agree_with_an_oracle(name):
    model, attached, oracle = both(name)
    randomise(attached, oracle)
    x, t, y, noise = batch(0, attached)
    attached.noise = noise
    values = {n: v.requires_grad_() for n, v in oracle.values.items()}
    output, (total, terms) = model(x, t, y), attached.balancing()
    expected, records = oracle.forward(x, t, y, noise)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    importance, load = oracle.importance(records), oracle.load(records)
    torch.testing.assert_close(terms["loss/importance"], importance.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(terms["loss/load"], load.detach(), rtol=1e-5, atol=1e-6)

    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(9)) / 100
    parameters = theirs(attached)
    ours = torch.autograd.grad((output * direction).sum() + total, list(parameters.values()))
    loss = (expected * direction).sum() + importance + load
    for found, (key, wanted) in zip(
        ours,
        zip(values, torch.autograd.grad(loss, list(values.values())), strict=True),
        strict=True,
    ):
        assert wanted.abs().max() > 1e-4, key
        scale = float(wanted.abs().max())
        torch.testing.assert_close(found / scale, wanted / scale, rtol=0, atol=1e-5, msg=key)

    attached.eval()
    torch.testing.assert_close(
        model(x, t, y), oracle.forward(x, t, y, None)[0], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_released_training_from_its_own_start_agrees_with_an_oracle(name):
    model, attached, oracle = both(name)
    for parameter, value in zip(theirs(attached).values(), oracle.values.values(), strict=True):
        assert parameter.shape == value.shape
        assert not parameter.any()  # prompts, gate and noise all start at zero
    groups = Objective(model, None, AttachedPatch(model, attached), "simple").groups(LEARNING_RATE)
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    for step in range(6):
        x, t, y, noise = batch(step, attached)
        attached.noise = noise
        optimizer.zero_grad()
        (model(x, t, y).square().mean() + attached.balancing()[0]).backward()
        optimizer.step()
        values = {n: v.requires_grad_() for n, v in oracle.values.items()}
        output, records = oracle.forward(x, t, y, noise)
        loss = output.square().mean() + oracle.importance(records) + oracle.load(records)
        oracle.update(dict(zip(values, torch.autograd.grad(loss, values.values()), strict=True)))
    for key, parameter in theirs(attached).items():
        assert oracle.values[key].abs().max() > LEARNING_RATE
        torch.testing.assert_close(parameter.data, oracle.values[key], rtol=0, atol=1e-5, msg=key)
