"""What stands around the weights in the files of a training, and how it is taken away."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmp.errors import DMPError

# Averaged weights are sampled: where a file has them too, they are the ones that are meant.
AVERAGED = ("ema", "ema_model", "model_ema")
# Under one of these names a checkpoint holds the weights; in them it may hold another.
NESTED = (*AVERAGED, "model", "state_dict", "module")
# Put before every name by what wraps a model in training, by one wrapper after another.
OUTER = {*AVERAGED, "model", "module"}
# Put anywhere into a name, since single blocks are wrapped as well: by torch.compile, by sharding,
# and by the recomputation of activations.
ANYWHERE = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# What torch's AveragedModel counts, beside the weights.
COUNTERS = {"n_averaged"}


def unwrapped(content: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    """Return weights under the names that the model itself gives them.

    Args:
        content: of a file: weights by name, or a checkpoint that holds them.
        path: the file, for the message.

    Raises:
        DMPError: two names stand for one weight.

    """
    nested = _nested(content)
    while nested is not None:
        content = nested
        nested = _nested(content)
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    peeled = {str(name): _peel(str(name)) for name in content}
    averaged = {name for name, (wrappers, _) in peeled.items() if wrappers & {*AVERAGED}}
    for (name, (_, plain)), value in zip(peeled.items(), content.values(), strict=True):
        if plain in COUNTERS or (averaged and name not in averaged):
            continue
        if plain in found:
            raise DMPError(
                f"{path} has two tensors for '{plain}': '{names[plain]}' and '{name}'; save the "
                f"weights of one model alone"
            )
        found[plain], names[plain] = value, name
    return found


def _nested(content: Mapping[Any, Any]) -> Mapping[Any, Any] | None:
    return next((content[n] for n in NESTED if isinstance(content.get(n), Mapping)), None)


def _peel(name: str) -> tuple[set[str], str]:
    """Return the wrappers of a name, and what is left of it."""
    parts = name.split(".")
    inside = [part for part in parts if part not in ANYWHERE]
    start = 0
    while start < len(inside) - 1 and inside[start] in OUTER:
        start += 1
    return set(inside[:start]), ".".join(inside[start:])
