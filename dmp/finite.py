"""Values from outside are finite, or refused at the place where they come in.

A NaN that is let in costs a whole run, and what it ends in, an eigenvalue routine that does not
converge or a table with a gap, no longer says where it came from.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dmp.errors import DMPError


def check_tensors(tensors: Mapping[str, Tensor], where: object, mend: str) -> None:
    """Refuse tensors with NaN or infinite values.

    Args:
        tensors: by name; integers are always accepted.
        where: what they were read from, for the message.
        mend: what the reader of the message can do.

    Raises:
        DMPError: naming the first of the tensors.
    """
    names = [name for name, tensor in tensors.items() if not _finite(tensor)]
    if names:
        raise DMPError(
            f"{where} holds NaN or infinite values in {len(names)} of {len(tensors)} tensors "
            f"({listed(names)}); {mend}"
        )


def _finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    # For the types of one byte torch cannot say what is finite.
    wide = tensor.float() if tensor.itemsize == 1 else tensor
    return bool(torch.isfinite(wide).all())


def check_rows(rows: np.ndarray, what: str, mend: str, first: int = 0) -> None:
    """Refuse rows with NaN or infinite values.

    Args:
        rows: ``(n, ...)``, each of one image or caption.
        what: whose they are, for the message: ``samples.npz: features of sample``.
        mend: what the reader of the message can do.
        first: the number of the first row.

    Raises:
        DMPError: naming the first of the rows.
    """
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=tuple(range(1, rows.ndim))))
    if len(bad):
        numbers = listed([str(first + row) for row in bad.tolist()])
        raise DMPError(
            f"{what} {numbers} ({len(bad)} of {len(rows)}): NaN or infinite values; {mend}"
        )


def listed(names: Sequence[str]) -> str:
    """Return the first three of some names, for a message."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "none"
