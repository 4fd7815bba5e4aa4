"""NumPy arrays on disk: ``.npz`` with a seal inside, written atomically; no torch."""

import contextlib
import warnings
import zipfile
from collections.abc import Collection, Generator, Mapping
from pathlib import Path

import numpy as np

from dmp import seals
from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, Advice, atomic_path, damaged, told

_EMPTY = 22  # bytes of an archive of nothing


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as one sealed .npz, atomically."""
    with atomic_path(path) as temporary:
        # NumPy's stubs take any name for that of its option.
        np.savez(temporary, **arrays)  # ty: ignore[invalid-argument-type]
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = seals.BLANK.encode()
        seals.fill(temporary)


def load_arrays(
    path: Path, *names: str, optional: Collection[str] = (), advice: Advice = STAGE_OUTPUT
) -> dict[str, np.ndarray]:
    """Read arrays of an .npz, whoever wrote it; a sealed one is compared with its seal.

    Args:
        names: arrays that it must have; if none are given, all that it has are read.
        optional: arrays that are read as well if it has them.
        advice: what whoever asked for the file can do if it cannot be read.

    Raises:
        DMPError: the file is missing, truncated or corrupt, is no archive of arrays, or lacks an
            array.
    """
    with _opened(path, advice) as file:
        lacking = [name for name in names if name not in file.files]
        if lacking:
            has = ", ".join(file.files) or "nothing"
            problem = f"{path} lacks {', '.join(lacking)}, and has {has}"
            raise DMPError(told(problem, advice.damaged))
        wanted = [n for n in file.files if not names or n in names or n in optional]
        arrays = {name: file[name] for name in wanted}
        for name, array in arrays.items():
            # What does not begin as an array does is handed out as bytes.
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{name} is no array")
    return arrays


def array_names(path: Path) -> frozenset[str]:
    """Return the names of an .npz's arrays; errors as :func:`load_arrays`."""
    with _opened(path, STAGE_OUTPUT) as file:
        return frozenset(file.files)


@contextlib.contextmanager
def _opened(path: Path, advice: Advice) -> Generator[np.lib.npyio.NpzFile]:
    try:
        sealed = seals.check(path)
        with warnings.catch_warnings(action="ignore"):  # of headers that NumPy can just about read
            file = np.load(path, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                problem = (
                    f"{path} holds one array and no archive of several, whatever its name says"
                )
                raise DMPError(told(problem, advice.damaged))
            with file:
                if len(file.zip.comment) == len(seals.BLANK) and not sealed:
                    raise ValueError("its seal is damaged")
                if not file.files and not sealed and path.stat().st_size > _EMPTY:
                    raise ValueError("its directory is lost")
                # NumPy stops before the end, where a sum is compared with the archive's own.
                if not sealed and (other := file.zip.testzip()):
                    raise ValueError(f"{other} does not match its checksum")
                if len(set(file.files)) < len(file.files):
                    raise ValueError("it has two arrays of one name")
                yield file
    except DMPError:
        raise
    except FileNotFoundError as error:
        raise DMPError(told(f"{path} does not exist", advice.absent)) from error
    except Exception as error:  # zipfile, zlib and NumPy each have their own way to say it
        raise damaged(path, error, advice) from error
