"""What the hooks of one forward pass tell one another, apart for each call and each thread.

A call's state lives from the model's first hook to its last. Beyond that, a thread keeps what was
asked for: the weights of its last call, in training or where the patch is told to. Activation
checkpointing runs a block once more during the backward pass, when the call is over and perhaps in
another thread: what a block needs for that is kept by its input, for as long as that lives.
"""

import dataclasses
import threading
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import replicate
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from dmp.errors import DMPError
from dmp.patching.half import Arrival, Widened, narrow
from dmp.patching.points import PatchPoints
from dmp.patching.weights import Weighting

if TYPE_CHECKING:
    from dmp.patching.patch import Patch

LEAST_SHARE = 0.95


@dataclasses.dataclass(eq=False)
class Call:
    """One forward pass of the patched model.

    Attributes:
        patch: whose parameters it uses: the patch, or its replica on another device.
        image_size: height and width of the images.
        timesteps: ``(B,)``.
        noise: ``(B, L, K)``, for a gate with noise, or None.
        gradients: whether the model was called with gradients enabled.
        keeps: whether weights are kept after the call.
        condition: ``(B, C)``, what the gate sees, once it is known.
        weightings: the gate's weights of each block's prompts, by its index.
        widened: what became of a half-precision stream.
        repeats: whether this is one block run again, for the backward pass.
    """

    patch: "Patch"
    image_size: tuple[int, int]
    timesteps: Tensor
    noise: Tensor | None
    gradients: bool
    keeps: bool
    widened: Widened
    condition: Tensor | None = None
    weightings: dict[int, Weighting] = dataclasses.field(default_factory=dict)
    repeats: bool = False

    def of_block(self, x: Tensor) -> "Call":
        """Return what is needed to run a block on ``x`` again; it does not hold ``x`` itself."""
        widened = self.widened.of_block(x)
        return dataclasses.replace(self, keeps=False, weightings={}, widened=widened, repeats=True)


class Kept(NamedTuple):
    """What is kept of a call.

    Attributes:
        weightings: the gate's weights of each block's prompts, by its index.
        gradients: whether the model was called with gradients enabled.
        share: of the prompts' contribution that arrived; None if all blocks got float32.
    """

    weightings: dict[int, Weighting]
    gradients: bool
    share: Tensor | None


class Calls:
    """The calls of a patch; copies of it, and pickles, begin without any.

    Args:
        points: where its backbone says timestep and condition.
        keep: whether weights are kept outside training as well.
    """

    def __init__(self, patch: "Patch", points: PatchPoints, keep: bool = False) -> None:
        self.__setstate__((patch, points, keep))

    def __getstate__(self) -> tuple["Patch", PatchPoints, bool]:
        return self.patch, self._points, self.keep

    def __setstate__(self, state: tuple["Patch", PatchPoints, bool]) -> None:
        self.patch, self._points, self.keep = state
        self._thread = threading.local()
        # By a block's input and its index. Values must not hold the input, which would live on.
        self._repeatable = WeakTensorKeyDictionary()
        self._checked = False

    def attach(self, model: nn.Module) -> list[RemovableHandle]:
        """Register the hooks that read a call; those of the blocks are registered with them."""
        points, handles = self._points, []
        handles.append(model.register_forward_pre_hook(self.begin, with_kwargs=True))
        handles.append(model.register_forward_hook(self.end, always_call=True))
        if points.timestep_embedding is not None:
            handles.append(points.timestep_embedding.register_forward_hook(self.read_timestep))
        # Where the gate is to see it, `check_placement` has made sure that there is one.
        if self.patch.config.condition == "t+c" and points.condition_embedding is not None:
            handles.append(points.condition_embedding.register_forward_hook(self.read_condition))
        return handles

    # -- state of a thread -------------------------------------------------------------------------

    @property
    def current(self) -> Call | None:
        """The call that this thread is in."""
        return getattr(self._thread, "call", None)

    @property
    def running(self) -> Call:
        """The call that this thread is in.

        Raises:
            DMPError: it is in none.
        """
        call = self.current
        if call is None:
            raise DMPError(
                "patch: a block was called outside a forward pass of the patched model, which "
                "says the timestep; call the model"
            )
        return call

    @property
    def noise(self) -> Tensor | None:
        """Noise for the gate in this thread's next calls."""
        return getattr(self._thread, "noise", None)

    @noise.setter
    def noise(self, noise: Tensor | None) -> None:
        self._thread.noise = noise

    @property
    def kept(self) -> Kept | None:
        """What is kept of this thread's last call; None if nothing was to be."""
        return getattr(self._thread, "kept", None)

    def forget(self) -> None:
        """Drop what this thread has kept."""
        self._thread.call = self._thread.kept = None

    # -- hooks of the model ------------------------------------------------------------------------

    def begin(self, model: nn.Module, inputs: tuple, named: dict) -> None:
        """Read images and timesteps: a forward pre-hook of the model."""
        if self.current is not None and self.current.widened.block is not None:
            narrow(self.current.widened, None)  # the last call was interrupted from the keyboard
        images, timesteps = self._points.arguments(*inputs, **named)
        patch, device, gradients = self.patch, images.device, torch.is_grad_enabled()
        own = next(patch.parameters()).device
        if own != device and getattr(model, "_is_replica", False):
            # DataParallel's replica of the model: gradients go back to the patch itself.
            patch = replicate(patch, [own, device], detach=not gradients)[1]
        elif own != device:
            patch.to(device)  # the model has been moved since it was patched
        keeps = patch.training or self.keep
        self._thread.kept = None
        self._thread.call = Call(
            patch,
            (images.shape[-2], images.shape[-1]),
            # Samplers may give one timestep for the whole batch, as a number or a tensor.
            torch.as_tensor(timesteps, device=device).expand(len(images)),
            self.noise,
            gradients,
            keeps,
            Widened(Arrival() if keeps or not self._checked else None),
        )

    def end(self, _: nn.Module, __: tuple, output: Any) -> None:
        """Forget the call, or keep what was asked for: a forward hook, called always."""
        call = self.current
        self._thread.call = None
        if call is None or output is None:
            return  # the model has failed
        if call.widened.arrival is not None and call.widened.started:
            self._check(call.widened.arrival)
        if call.keeps:
            arrival = call.widened.arrival
            share = None if arrival is None else arrival.share()
            self._thread.kept = Kept(call.weightings, call.gradients, share)

    def read_timestep(self, _: nn.Module, __: tuple, output: Tensor) -> None:
        """Read the timestep embedding: a forward hook."""
        call = self.current
        if call is not None and not _gate_is_misled(call.patch):
            call.condition = output

    def read_condition(self, _: nn.Module, __: tuple, output: Tensor) -> None:
        """Add the condition's embedding: a forward hook."""
        call = self.current
        if call is not None:
            call.condition = self.condition(call) + output

    def condition(self, call: Call) -> Tensor:
        """Return what the gate sees: the timestep embedding, ``(B, C)``, perhaps with another."""
        if call.condition is None:
            misled, t = _gate_is_misled(call.patch), call.timesteps
            t = call.patch.permutation[t.long()] if misled else t
            call.condition = self._points.embed_timesteps(t)
        return call.condition

    # -- hooks of the blocks -----------------------------------------------------------------------

    def enter(self, x: Tensor, index: int) -> None:
        """Find the call that a block is run in, before anything is done with its input ``x``.

        Raises:
            DMPError: it is run by reentrant checkpointing.
        """
        call = self.current
        if call is None:
            again = self._repeatable.get(x, {}).get(index)
            # Once more for each backward pass.
            self._thread.call = None if again is None else dataclasses.replace(again)
            return
        if call.gradients and not torch.is_grad_enabled():
            raise DMPError(
                f"patch: block {index} runs without gradients in a forward pass that has them, as "
                f"under reentrant activation checkpointing, which loses the balancing losses; "
                f"accepted: use_reentrant=False"
            )
        if call.gradients and not torch.compiler.is_compiling():
            self._repeatable.setdefault(x, {})[index] = call.of_block(x)

    def leave(self, _: nn.Module, __: tuple, output: Any) -> Any:
        """Bring a block's output back to the precision of the stream: a forward hook."""
        call = self.current
        if call is None:
            return None
        if call.repeats:
            self._thread.call = None
        return None if call.widened.block is None else narrow(call.widened, output)

    def _check(self, arrival: Arrival) -> None:
        """Warn once of a contribution that is lost; reading it waits for the device, once."""
        if self._checked:
            return
        self._checked, share = True, arrival.share()
        if share is not None and share < LEAST_SHARE:
            warnings.warn(
                f"patch: {float(share):.0%} of the prompts' contribution arrives in this model's "
                f"half-precision tokens, beside which it is too small; run the model in float32, "
                f"or train with larger weights, such as weights = n-softmax",
                stacklevel=2,
            )


def _gate_is_misled(patch: "Patch") -> bool:
    """Whether the gate, and nobody else, is told another time."""
    permuted = patch.config.gate_timestep
    return permuted == "permuted" or (permuted == "permuted-in-sampling" and not patch.training)


def patch_of(model: nn.Module) -> "Patch | None":
    """Return the patch that is attached to ``model`` or to a part of it; None if there is none.

    A copy of a patched model has a copy of the patch, which is reached in this way. Of several
    patches, it is the one that was attached first.
    """
    hooks = (hook for module in model.modules() for hook in module._forward_pre_hooks.values())
    owners = (getattr(hook, "calls", getattr(hook, "__self__", None)) for hook in hooks)
    return next((owner.patch for owner in owners if isinstance(owner, Calls)), None)
