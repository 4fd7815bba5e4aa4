"""An archive at a plain address: transferred, verified, unpacked, and only then given its name.

The bytes are transferred by the Hugging Face hub's client, which takes any address: it goes on
after a lost connection, and where an earlier process ended.
"""

import hashlib
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from dmp.config import ArchiveConfig
from dmp.data.fetching.disk import ensure_space, is_of_disk
from dmp.errors import DMPError


def fetch_archive(name: str, archive: ArchiveConfig, root: Path) -> None:
    """Fetch what an archive gives, unless it is there; the archive itself is not kept.

    Args:
        name: the dataset, for messages.
        archive: where it is, and what it has to be.
        root: the folder of all data.

    Raises:
        DMPError: it cannot be had, or is not what it should be.
        OSError: it cannot be written.

    """
    target = root / archive.gives
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{PurePosixPath(archive.url).name}.part")
    arrived = part.stat().st_size if part.exists() else 0
    # The archive and what is in it lie side by side for a while; images hardly compress.
    ensure_space(name, target.parent, 2 * archive.size - arrived)
    _transfer(name, archive, part)
    _verify(name, archive, part)
    _unpack(name, archive, part, target)
    part.unlink()


def _transfer(name: str, archive: ArchiveConfig, part: Path) -> None:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    where = f"dataset '{name}': {archive.url}"
    try:
        with part.open("ab") as file:
            http_get(archive.url, file, resume_size=file.tell(), expected_size=archive.size)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 416:  # what has arrived is longer than the file
            part.unlink()
        raise DMPError(
            f"{where} was refused with HTTP status {status}; try later, or download it by hand and "
            f"unpack it so that '{archive.gives}' lies in the folder of all data"
        ) from error
    except Exception as error:  # among them those of the HTTP client that the hub's is built on
        if isinstance(error, OSError) and is_of_disk(error):
            raise
        if type(error) is OSError and error.errno is None:  # the client's word for another length
            part.unlink()  # nothing can be added to it
            raise DMPError(
                f"{where} does not have the {archive.size} bytes that the scale states, and was "
                "deleted; try again, and correct 'size' if its owner has changed it"
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DMPError(
            f"{where} cannot be reached ({reason}); run the same command again where there is a "
            "network: what has arrived is kept"
        ) from error


def _verify(name: str, archive: ArchiveConfig, part: Path) -> None:
    if archive.sha256 is None:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        part.unlink()
        raise DMPError(
            f"dataset '{name}': {archive.url} has the SHA-256 {found}, not {archive.sha256}, and "
            "was deleted; run the same command again, and correct 'sha256' if its owner has "
            "changed it"
        )


def _unpack(name: str, archive: ArchiveConfig, part: Path, target: Path) -> None:
    folder = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(folder, ignore_errors=True)  # from a process that was killed
    try:
        with zipfile.ZipFile(part) as opened:
            members = [
                member
                for member in opened.namelist()
                if PurePosixPath(member).parts[:1] == (target.name,)
            ]
            if not members:
                raise DMPError(
                    f"dataset '{name}': {archive.url} holds no '{target.name}'; correct 'gives' in "
                    "the dataset's download"
                )
            opened.extractall(folder, members)  # which compares checksums
        (folder / target.name).replace(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        part.unlink()
        raise DMPError(
            f"dataset '{name}': {archive.url} is a damaged zip ({error}) and was deleted; run the "
            "same command again"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
