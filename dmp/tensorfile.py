"""Tensors on disk: safetensors with a description and a seal inside, written atomically."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dmp import seals
from dmp.errors import DMPError
from dmp.files import NO_ADVICE, Advice, atomic_path, damaged, told, write_error
from dmp.finite import check_tensors


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], description: Any) -> None:
    """Write tensors with a JSON description of what they are.

    Raises:
        DMPError: the file cannot be written; what stood there before still stands.
    """
    on_cpu = {name: t.detach().to("cpu").contiguous() for name, t in tensors.items()}
    # One key: the library writes several in an order that changes from call to call.
    header = {"description": description, "seal": seals.BLANK}
    metadata = {"dmp": json.dumps(header, sort_keys=True)}
    with atomic_path(path) as temporary:
        try:
            save_file(on_cpu, temporary, metadata=metadata)
        except SafetensorError as error:  # how the library reports, among others, a full disk
            cause = OSError(28, str(error)) if "os error 28" in str(error).lower() else None
            raise write_error(Path(path), cause or OSError(str(error))) from error
        seals.fill(temporary)


def read_description(path: str | Path, advice: Advice = NO_ADVICE) -> dict[str, Any]:
    """Read the description alone; the whole file is compared with its seal, if it has one.

    Args:
        advice: what whoever asked for the file can do if it cannot be read.

    Raises:
        DMPError: as :func:`load_tensors`, but for values that are not finite.
    """
    return _read(path, advice, with_tensors=False)[1]


def load_tensors(
    path: str | Path, advice: Advice = NO_ADVICE, finite: bool = True
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote: tensors on the CPU, and their description.

    A file of an earlier version has no seal, but a checksum of its tensors and their names alone.

    Args:
        advice: what whoever asked for the file can do if it cannot be read.
        finite: whether to refuse NaN and infinite values.

    Raises:
        DMPError: the file is missing, truncated or corrupt, was not written by dmp, or holds
            values that are not finite.
    """
    tensors, description = _read(path, advice, with_tensors=True)
    if finite:
        check_tensors(tensors, path, "the training that made it has diverged")
    return tensors, description


def _read(
    path: str | Path, advice: Advice, with_tensors: bool
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = Path(path)
    if not path.is_file():
        raise DMPError(told(f"{path} does not exist", advice.absent))
    try:
        sealed = seals.check(path)
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("dmp")
            if text is None:
                raise DMPError(f"{path} was not written by dmp: it has no checksum inside")
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
        header = json.loads(text)
        description = header["description"]
        if not isinstance(description, dict) or (not sealed and "sha256" not in header):
            raise ValueError("its header is no longer what was written")
        if not sealed and with_tensors and _checksum(tensors) != header["sha256"]:
            raise seals.BrokenSealError
    except DMPError:
        raise
    except Exception as error:  # of the library each kind of damage is another kind of exception
        raise damaged(path, error, advice) from error
    return tensors, description


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return what an earlier version's file has in place of a seal."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        # NumPy knows no bfloat16: the bytes are what is hashed, whatever the type.
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
