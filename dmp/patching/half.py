"""Prompts in a half-precision stream of tokens, where they would be rounded away.

A weighted prompt is about 1/K of a prompt, and a token in bfloat16 has 8 significant bits: at
K = 1024 and prompts of the tokens' size, most of ``x + w ⊙ P`` is x. The sum is therefore formed in
float32, and the block that gets it computes with float32 tokens: under autocast by itself, and in a
model that was converted to half precision under an autocast of its own. There its output goes back
to the model's precision, beside which the next patched block finds it in float32.

As long as all contributions are zero, nothing of this happens: a patch that was never trained
changes no bit.
"""

import contextlib
import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

HALF = (torch.float16, torch.bfloat16)
# Their autocast runs normalisation in float32 whatever the precision of its weights.
_NORMALISING = ("cuda", "xpu")


class Arrival:
    """Share of the prompts' contribution that reached the blocks: ``Σ a·p / Σ p²``.

    p is what was to be added and a is by how much the block's input differs; sums are over all
    blocks, of the first image of the batch alone.
    """

    def __init__(self) -> None:
        self._sums: Tensor | None = None

    @torch.no_grad()
    def count(self, before: Tensor, after: Tensor, contribution: Tensor) -> None:
        """Count a block: its input without and with the contribution, all ``(B, ...)``."""
        wanted = contribution.broadcast_to(after.shape)[:1].float()
        actual = after[:1].float() - before[:1].float()
        sums = torch.stack([(actual * wanted).sum(), wanted.square().sum()])
        self._sums = sums if self._sums is None else self._sums + sums

    def share(self) -> Tensor | None:
        """Return the share, a scalar: 1 if nothing was to arrive, None if nothing was counted."""
        if self._sums is None:
            return None
        arrived, wanted = self._sums
        return torch.where(wanted > 0, arrived / wanted, 1.0)


@dataclasses.dataclass(eq=False)
class Widened:
    """What becomes of a half-precision stream in a call.

    Attributes:
        arrival: counts what arrives, or None.
        started: whether anything but zero has been added.
        block: what the block that is running was put into, and the precision of its output.
        output: the last block's output, in half precision and in float32.
        tokens: in a block that is run again, its input in float32, if that was known.
    """

    arrival: Arrival | None = None
    started: bool = False
    block: tuple[contextlib.ExitStack, torch.dtype] | None = None
    output: tuple[Tensor, Tensor] | None = None
    tokens: Tensor | None = None

    def in_float32(self, x: Tensor) -> Tensor:
        """Return a block's input in float32, as the previous block computed it if it did."""
        if self.output is not None and self.output[0] is x:
            return self.output[1]
        return x.float() if self.tokens is None else self.tokens

    def of_block(self, x: Tensor) -> "Widened":
        """Return what is needed to run a block on ``x`` again."""
        known = self.output is not None and self.output[0] is x
        return Widened(None, self.started, tokens=self.output[1] if known else None)


@torch.compiler.disable
def add_in_float32(widened: Widened, x: Tensor, contribution: Tensor, module: nn.Module) -> Tensor:
    """Return ``x + contribution`` in float32, and prepare the block for it.

    Args:
        widened: the call's; of a block that was prepared, :func:`narrow` has to be called.
        x: the block's input, ``(B, ...)`` in half precision.
        contribution: broadcast to it.
        module: the block.

    Returns:
        The sum; in half precision if all contributions were zero so far.
    """
    # One look at the device's numbers for each block until there is something, then none.
    if not widened.started and not contribution.any():
        total = x + contribution.to(x.dtype)  # zero, but with a gradient
        if widened.arrival is not None:
            widened.arrival.count(x, total, contribution)
        return total
    widened.started = True
    tokens = widened.in_float32(x)
    total = tokens + contribution.float()
    if widened.arrival is not None:
        widened.arrival.count(tokens, total, contribution)
    device = x.device.type
    weight = next(module.parameters(), contribution)
    if not torch.is_autocast_enabled(device) or weight.dtype != torch.float32:
        block = contextlib.ExitStack()
        block.enter_context(torch.autocast(device, x.dtype))
        if device not in _NORMALISING:
            block.enter_context(_NormsInFloat32())
        widened.block = block, x.dtype
    return total


@torch.compiler.disable
def narrow(widened: Widened, output: Any) -> Any:
    """End what :func:`add_in_float32` prepared, and return the output in half precision.

    Args:
        widened: the call's.
        output: tokens or a feature map, or a tuple that begins with them; None if the block failed.
    """
    assert widened.block is not None
    (block, dtype), widened.block = widened.block, None
    block.close()
    if output is None:
        return None
    narrowed = narrow_tensor(output, dtype)
    several = isinstance(output, tuple)
    widened.output = (narrowed[0], output[0]) if several else (narrowed, output)
    return narrowed


def narrow_tensor(value: Any, dtype: torch.dtype) -> Any:
    """Return float32 tensors in half precision, those in tuples too, and all else as it is."""
    if isinstance(value, tuple):
        return tuple(narrow_tensor(part, dtype) for part in value)
    return value.to(dtype) if isinstance(value, Tensor) and value.dtype == torch.float32 else value


class _NormsInFloat32(TorchFunctionMode):
    """Lets normalisation with half-precision weights take float32 tokens, as CUDA's autocast does.

    On other devices both have to be of one precision.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (nn.functional.layer_norm, nn.functional.group_norm, nn.functional.rms_norm):
            args = tuple(_in_float32(value) for value in args)
            kwargs = {name: _in_float32(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)


def _in_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in HALF else value
