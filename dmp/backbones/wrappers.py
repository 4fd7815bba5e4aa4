"""What stands around the weights in the files of a training, and how it is taken away."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dmp.errors import DMPError

# Averaged weights are sampled: where a file has them too, they are the ones that are meant.
AVERAGED = {"ema", "ema_model", "model_ema", "ema_state_dict", "state_dict_ema", "module_ema"}
# Under these names a checkpoint holds the weights, or what holds them; put before every name, with
# a dot, by what wraps a model in training. One stands in another, in any order.
OUTER = AVERAGED | {
    *("model", "module", "state_dict", "model_state_dict", "online_model", "diffusion_model"),
    *("net", "network", "_forward_module"),
}
# Put anywhere into a name, since single blocks are wrapped as well: by torch.compile, by sharding,
# and by the recomputation of activations.
ANYWHERE = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# What averages count, beside the weights.
COUNTERS = {"n_averaged", "initted", "step", "decay", "num_updates"}


def unwrapped(content: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    """Return weights under the names that the model itself gives them.

    Args:
        content: of a file: weights by name, or a checkpoint that holds them.

    Raises:
        DMPError: two names stand for one weight.
    """
    peeled = [(name, *_peel(name), value) for name, value in _flat(content)]
    peeled = [entry for entry in peeled if entry[2] not in COUNTERS]
    most = max((averaged for _, averaged, _, _ in peeled), default=0)
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, averaged, plain, value in peeled:
        if averaged < most:
            continue
        if plain in found:
            raise DMPError(
                f"{path} has two tensors for '{plain}': '{names[plain]}' and '{name}'; save the "
                f"weights of one model alone"
            )
        found[plain], names[plain] = value, name
    return found


def _flat(content: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the entries that dictionaries in dictionaries hold, under the names of all of them.

    Beside the weights' dictionary a checkpoint has others, such as the optimiser's, and numbers.
    """
    nested = {n: value for n, value in content.items() if n in OUTER and isinstance(value, Mapping)}
    for name, value in nested.items():
        yield from _flat(value, f"{above}{name}.")
    if not any(nested.values()):
        yield from ((f"{above}{name}", value) for name, value in content.items())


def _peel(name: str) -> tuple[int, str]:
    """Return how many of a name's wrappers are averages, and what is left of it."""
    inside = [part for part in name.split(".") if part not in ANYWHERE]
    start = 0
    while start < len(inside) - 1 and inside[start] in OUTER:
        start += 1
    return sum(part in AVERAGED for part in inside[:start]), ".".join(inside[start:])
