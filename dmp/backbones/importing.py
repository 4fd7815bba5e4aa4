"""Weights from elsewhere: the public DiT checkpoints, and diffusers' DiT.

Loading is strict. What a file may call by another name, and what it may lack, is in the tables
below and in :mod:`dmp.backbones.wrappers`; anything else that does not fit is an error, and so is a
weight that is not finite. No pickled code is ever executed.
"""

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dmp.backbones.dit import SIZES, DiT
from dmp.backbones.wrappers import unwrapped
from dmp.errors import DMPError
from dmp.files import read_json
from dmp.finite import check_tensors, listed

# What a file may lack, and why nothing is lost by it.
ABSENT = {"pos_embed": "sines and cosines of the position, which are computed"}

# diffusers' names, and ours.
DIFFUSERS = {
    "pos_embed.proj": "x_embedder.proj",
    "proj_out_1": "final_layer.adaLN_modulation.1",
    "proj_out_2": "final_layer.linear",
}
DIFFUSERS_BLOCK = {
    "norm1.linear": "adaLN_modulation.1",
    "attn1.to_out.0": "attn.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}
# Three maps there, one here.
DIFFUSERS_JOINED = ("attn1.to_q", "attn1.to_k", "attn1.to_v")
# In each block there, once here.
DIFFUSERS_REPEATED = {
    "norm1.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "norm1.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "norm1.emb.class_embedder.embedding_table": "y_embedder.embedding_table",
}


def load_public_dit(path: str | Path, model: DiT) -> None:
    """Load a checkpoint in the layout of the public ones, such as ``DiT-XL-2-256x256.pt``.

    A training checkpoint is accepted as well; the averaged weights in it are taken. So are the
    weights of a model that was compiled or distributed, whatever wrapped what.

    Args:
        path: a file that ``torch.save`` wrote; nothing but tensors in it is accepted.
        model: a DiT of the same size, for example ``dit("XL", 2, 32, 4, 1000, 0.1)``.

    Raises:
        DMPError: the file is missing or corrupt, holds other objects or weights that are not
            finite, or is of another size.
    """
    path = Path(path)
    _load(model, unwrapped(_unpickle(path), path), path)


def load_diffusers_dit(folder: str | Path, model: DiT) -> None:
    """Load a DiT as diffusers saves it.

    Two constants differ, and stay ours, which are the public DiT's: diffusers divides the exponents
    of the timestep's frequencies by 127 in place of 128, and by default its second norm has
    ε = 1e-5 in place of 1e-6.

    Args:
        folder: of the transformer, or of a pipeline that has one.
        model: a DiT of the same size.

    Raises:
        DMPError: a file is missing or corrupt, or of another size or kind, or holds weights that
            are not finite, or its blocks embed the timestep or the label in different ways, which
            a DiT cannot.
    """
    folder = Path(folder)
    if (folder / "transformer").is_dir():
        folder = folder / "transformer"
    config = read_json(folder / "config.json")
    for key, expected in (
        ("num_attention_heads", model.num_heads),
        ("norm_type", "ada_norm_zero"),
        ("activation_fn", "gelu-approximate"),
    ):
        if config.get(key) != expected:
            raise DMPError(
                f"{folder / 'config.json'}: {key} = {config.get(key)}; this DiT has {expected}"
            )
    path, tensors = _read_diffusers(folder)
    _load(model, _from_diffusers(unwrapped(tensors, path), path), path)


def _unpickle(path: Path) -> Mapping:
    """Read a pickled dictionary of tensors; anything that would execute code is refused."""
    if not path.is_file():
        raise DMPError(f"{path} does not exist")
    try:
        # Training checkpoints carry their command line's options, which are plain values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as error:
        refused = re.search(r"unsupported global:?(?: GLOBAL)? (\S+)", str(error), re.IGNORECASE)
        if refused is None:
            raise DMPError(f"{path} is truncated or no PyTorch checkpoint") from error
        raise DMPError(
            f"{path} holds more than tensors ({refused[1]}), which loading would have to execute; "
            f"it was not; save the weights alone: torch.save(model.state_dict(), ...)"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise DMPError(f"{path} is truncated or no PyTorch checkpoint ({error})") from error
    if not isinstance(content, Mapping):
        raise DMPError(
            f"{path} holds a {type(content).__name__}; a dictionary of weights is needed"
        )
    return content


def _read_diffusers(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """Read the weights, in one file or in several, and say which file to blame."""
    stem = "diffusion_pytorch_model"
    files = [folder / f"{stem}.safetensors"]
    if not files[0].is_file():
        files = sorted(folder.glob(f"{stem}-*-of-*.safetensors"))
    if not files and (folder / f"{stem}.bin").is_file():
        return folder / f"{stem}.bin", dict(_unpickle(folder / f"{stem}.bin"))
    if not files:
        raise DMPError(f"{folder} has no {stem}.safetensors, and no {stem}.bin")
    tensors: dict[str, Tensor] = {}
    for path in files:
        try:
            tensors |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise DMPError(f"{path} is truncated or corrupt ({error})") from error
    return files[0], tensors


def _from_diffusers(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the weights under our names; a name that is in no table stays what it is."""
    found: dict[str, Tensor] = {}
    joined: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        module, _, kind = name.rpartition(".")  # weight or bias
        inside = re.fullmatch(r"transformer_blocks\.(\d+)\.(.+)", module)
        block, part = inside.groups() if inside else ("", "")
        if part in DIFFUSERS_JOINED:
            joined.setdefault(f"blocks.{block}.attn.qkv.{kind}", {})[part] = value
        elif part in DIFFUSERS_REPEATED:
            ours = f"{DIFFUSERS_REPEATED[part]}.{kind}"
            first = found.setdefault(ours, value)
            # NaN is not equal to itself, and is refused by another message.
            same = first.shape == value.shape and first.dtype == value.dtype
            if not same or not torch.allclose(first, value, 0, 0, equal_nan=True):
                raise DMPError(
                    f"{path}: '{name}' is not the same in all blocks; a DiT has one for all"
                )
        elif part in DIFFUSERS_BLOCK:
            found[f"blocks.{block}.{DIFFUSERS_BLOCK[part]}.{kind}"] = value
        elif module in DIFFUSERS:
            found[f"{DIFFUSERS[module]}.{kind}"] = value
        else:
            found["pos_embed" if name == "pos_embed.pos_embed" else name] = value
    for ours, parts in joined.items():
        if len(parts) == len(DIFFUSERS_JOINED):
            found[ours] = torch.cat([parts[part] for part in DIFFUSERS_JOINED])
    return found


def _load(model: DiT, tensors: dict[str, Tensor], path: Path) -> None:
    """Load what has our names."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise DMPError(f"{path}: '{name}' is a {type(value).__name__}; a tensor is needed")
    expected = model.state_dict()
    sizes = f"this file holds {_size(tensors)}, the model is {_size(expected)}"
    for name, value in tensors.items():
        if name in expected and value.shape != expected[name].shape:
            raise DMPError(
                f"{path}: '{name}' has shape {tuple(value.shape)}, the model's has "
                f"{tuple(expected[name].shape)}; {sizes}"
            )
    missing = [name for name in expected if name not in tensors and name not in ABSENT]
    unknown = [name for name in tensors if name not in expected]
    if missing or unknown:
        raise DMPError(
            f"{path} does not fit: {len(missing)} keys are missing ({listed(missing)}), "
            f"{len(unknown)} are unknown ({listed(unknown)}); {sizes}"
        )
    # As the model will hold them: what double precision can hold may be too large for single.
    tensors = {name: value.to(expected[name].dtype) for name, value in tensors.items()}
    check_tensors(tensors, path, "take a checkpoint from before the training diverged")
    model.load_state_dict({"pos_embed": model.positions()[None], **tensors}, strict=True)


def _size(tensors: Mapping[str, Tensor]) -> str:
    """Say of what size the weights of a DiT are, for example ``a DiT-XL/2 (1152 wide, ...)``."""
    try:
        width, channels, patch_size = tensors["x_embedder.proj.weight"].shape[:3]
        labels = len(tensors["y_embedder.embedding_table.weight"])
    except (KeyError, ValueError):
        return "no DiT with labels"
    found = (re.match(r"blocks\.(\d+)\.", str(name)) for name in tensors)
    depth = 1 + max((int(block[1]) for block in found if block), default=-1)
    names = {(size.depth, size.hidden_size): name for name, size in SIZES.items()}
    name = f"DiT-{names[depth, width]}/{patch_size}" if (depth, width) in names else "DiT"
    tokens = tensors["pos_embed"].shape[1] if "pos_embed" in tensors else "any number of"
    return (
        f"a {name} ({width} wide, {depth} blocks, patch {patch_size}, {channels} channels, "
        f"{tokens} tokens, {labels} labels)"
    )
