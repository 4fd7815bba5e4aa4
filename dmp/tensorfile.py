"""Tensors on disk: safetensors with a description and a checksum inside, written atomically."""

import contextlib
import hashlib
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dmp.errors import DMPError
from dmp.files import NO_ADVICE, Advice, atomic_path, write_error
from dmp.finite import check_tensors


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        # NumPy knows no bfloat16: the bytes are what is hashed, whatever the type.
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], description: Any) -> None:
    """Write tensors with a JSON description of what they are.

    Raises:
        DMPError: the file cannot be written; what stood there before still stands.

    """
    on_cpu = {name: t.detach().to("cpu").contiguous() for name, t in tensors.items()}
    # One key: the library writes several in an order that changes from call to call.
    header = {"description": description, "sha256": _checksum(on_cpu)}
    metadata = {"dmp": json.dumps(header, sort_keys=True)}
    with atomic_path(path) as temporary:
        try:
            save_file(on_cpu, temporary, metadata=metadata)
        except SafetensorError as error:  # how the library reports, among others, a full disk
            cause = OSError(28, str(error)) if "os error 28" in str(error).lower() else None
            raise write_error(Path(path), cause or OSError(str(error))) from error


def _error(problem: str, advice: str) -> DMPError:
    return DMPError(f"{problem}; {advice}" if advice else problem)


@contextlib.contextmanager
def _opened(path: str | Path, advice: Advice) -> Generator[tuple[Any, dict[str, Any]]]:
    path = Path(path)
    if not path.is_file():
        raise _error(f"{path} does not exist", advice.absent)
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get("dmp")
            if header is None:
                raise DMPError(f"{path} was not written by dmp: it has no checksum inside")
            yield file, json.loads(header)
    except (SafetensorError, OSError, ValueError) as error:
        raise _error(f"{path} is truncated or corrupt ({error})", advice.damaged) from error


def read_description(path: str | Path, advice: Advice = NO_ADVICE) -> Any:
    """Read the description alone, without the tensors.

    Args:
        path: what :func:`save_tensors` wrote.
        advice: what whoever asked for the file can do if it cannot be read.

    Raises:
        DMPError: as :func:`load_tensors`, but for damage inside the tensors.

    """
    with _opened(path, advice) as (_, header):
        return header["description"]


def load_tensors(
    path: str | Path, advice: Advice = NO_ADVICE, finite: bool = True
) -> tuple[dict[str, Tensor], Any]:
    """Read what :func:`save_tensors` wrote: tensors on the CPU, and their description.

    Args:
        path: what it wrote.
        advice: what whoever asked for the file can do if it cannot be read.
        finite: whether to refuse NaN and infinite values.

    Raises:
        DMPError: the file is missing, truncated or corrupt, was not written by dmp, or holds
            values that are not finite.

    """
    with _opened(path, advice) as (file, header):
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _checksum(tensors) != header["sha256"]:
        problem = f"{path} is corrupt: its content does not match its checksum"
        raise _error(problem, advice.damaged)
    if finite:
        check_tensors(tensors, path, "the training that made it has diverged")
    return tensors, header["description"]
