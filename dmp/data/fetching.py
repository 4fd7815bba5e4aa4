"""Datasets that can be fetched without a person: from the Hugging Face hub, or as archives.

The hub's own client and pooch transfer and compare checksums. Whatever is under way has a hidden
name: a dataset gets its own name only once it is whole and verified. An interrupted fetch from the
hub goes on with the files that are missing; an archive is transferred anew.
"""

import errno
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout
from tqdm import tqdm

from dmp.config import ArchiveConfig, DownloadConfig, SourceConfig
from dmp.errors import DMPError, one_line

LOGIN = "log in with `hf auth login` or set HF_TOKEN"


def is_there(source: SourceConfig, root: Path) -> bool:
    """Return whether everything that a dataset is fetched for lies below ``root``."""
    archives = source.download.archives if source.download else []
    return all((root / path).exists() for path in (source.path, *(a.gives for a in archives)))


def origins(source: SourceConfig, download: DownloadConfig, root: Path) -> Iterator[str]:
    """Yield what of a dataset is still needed, and from where: a line for each file or pattern."""
    if download.hub is not None:
        files = ", ".join(download.files) or "all files"
        yield (
            f"{files} of https://huggingface.co/datasets/{download.hub} ({download.revision}), to "
            f"{root / source.path}"
        )
    for archive in download.archives:
        if not (root / archive.gives).exists():
            yield f"{archive.url} ({_readable(archive.size)}), unpacked to {root / archive.gives}"


def fetch(name: str, source: SourceConfig, download: DownloadConfig, root: Path) -> None:
    """Fetch what of a dataset is not there; its licence has been accepted.

    Args:
        root: the folder of all data.

    Raises:
        DMPError: it is unavailable, is not what it should be, or does not fit; the message names
            dataset and file and says what to do.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".download.lock", timeout=0):
            if download.hub is not None and not (root / source.path).exists():
                _fetch_snapshot(download, download.hub, root / source.path)
            for archive in download.archives:
                if not (root / archive.gives).exists():
                    _fetch_archive(archive, root / archive.gives)
    except Timeout as error:
        problem = f"another process is fetching datasets to {root}; wait for it"
        raise DMPError(f"dataset '{name}': {problem}") from error
    except DMPError as error:
        raise DMPError(f"dataset '{name}': {error}") from error
    except OSError as error:
        where = error.filename or root
        remedy = "see to it, or choose another folder with --data, and run the same command again"
        raise DMPError(
            f"dataset '{name}': cannot write {where}: {error.strerror or error}; {remedy}"
        ) from error


def _fetch_archive(archive: ArchiveConfig, target: Path) -> None:
    """Fetch what an archive gives; the archive itself is not kept."""
    import pooch
    from requests import RequestException

    path = target.with_name(f".{PurePosixPath(archive.url).name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    download = pooch.HTTPDownloader(progressbar=True, chunk_size=2**20)
    # The archive and what is in it lie side by side for a while; images hardly compress.
    _ensure_space(target.parent, 2 * archive.size - (archive.size if path.exists() else 0))
    try:
        pooch.retrieve(
            archive.url,
            known_hash=f"sha256:{archive.sha256}",
            fname=path.name,
            path=path.parent,
            downloader=download,  # ty: ignore[invalid-argument-type]  # pooch's own class
        )
    except (RequestException, ValueError) as error:  # the latter is another checksum
        raise DMPError(
            f"{archive.url} cannot be fetched ({one_line(error)}). Run the same command again: it "
            f"starts anew. `curl -C - -o {path} {archive.url}` also goes on where it was "
            "interrupted; the command then verifies and unpacks what is there"
        ) from error
    _unpack(archive, path, target)
    path.unlink()


def _unpack(archive: ArchiveConfig, path: Path, target: Path) -> None:
    folder = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(folder, ignore_errors=True)  # from a process that was killed
    try:
        with zipfile.ZipFile(path) as opened:
            members = [
                member
                for member in opened.namelist()
                if PurePosixPath(member).parts[:1] == (target.name,)
            ]
            if not members:
                raise DMPError(
                    f"{archive.url} holds no '{target.name}'; correct 'gives' in the dataset's "
                    "download"
                )
            opened.extractall(folder, members)  # which compares checksums
        (folder / target.name).replace(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DMPError(f"{archive.url} is a damaged zip ({error})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch_snapshot(download: DownloadConfig, hub: str, target: Path) -> None:
    """Fetch a dataset's files from the hub, all of one commit."""
    from huggingface_hub import HfApi, snapshot_download

    where = f"https://huggingface.co/datasets/{hub}"
    part = target.with_name(f".{target.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    patterns = download.files or None
    try:
        # First what there is: without a network the client returns a folder that holds anything.
        files = snapshot_download(
            hub, repo_type="dataset", revision=download.revision, allow_patterns=patterns,
            local_dir=part, dry_run=True,
        )  # fmt: skip
        if not files:
            raise DMPError(f"{where} has no file that fits {', '.join(download.files)}")
        _ensure_space(part, sum(f.file_size or 0 for f in files if f.will_download))
        # From here on one commit, whatever its owner does meanwhile.
        commit = files[0].commit_hash
        snapshot_download(
            hub, repo_type="dataset", revision=commit, allow_patterns=patterns, local_dir=part
        )
        checked = HfApi().verify_repo_checksums(
            hub, repo_type="dataset", revision=commit, local_dir=part
        )
    except DMPError:
        raise
    except Exception as error:  # the client's own, and those of the HTTP client beneath it
        raise _hub_problem(where, download, error) from error
    absent = sorted({file.filename for file in files} & set(checked.missing_paths))
    damaged = sorted(mismatch["path"] for mismatch in checked.mismatches)
    for file in damaged:  # which the client would take for fetched
        (part / file).unlink()
    if absent or damaged:
        raise DMPError(
            f"{where}: {len(absent)} files did not arrive and {len(damaged)} do not have the "
            f"hub's checksum, the first is {[*absent, *damaged][0]}; run the same command again: "
            "it fetches those alone"
        )
    shutil.rmtree(part / ".cache", ignore_errors=True)  # the client's notes
    part.rename(target)


def _hub_problem(where: str, download: DownloadConfig, error: BaseException) -> Exception:
    """Return what to raise: the client says what it could not do, and its cause why."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    for cause in causes:
        if isinstance(cause, GatedRepoError):
            return DMPError(
                f"{where} is gated, and this account has no access: accept the terms at "
                f"{download.page}, wait until access is granted, {LOGIN}, and run the same command "
                "again"
            )
        if isinstance(cause, OSError) and (cause.filename or cause.errno == errno.ENOSPC):
            return cause  # of a file, not of a connection
    told = next((c for c in causes if isinstance(c, HfHubHTTPError)), causes[-1])
    return DMPError(
        f"{where} cannot be fetched ({one_line(told)}); see to that (for an account that may read "
        f"it, {LOGIN}), and run the same command again: files that have arrived are kept"
    )


def _readable(size: int) -> str:
    return tqdm.format_sizeof(size, "B")


def _ensure_space(folder: Path, needed: int) -> None:
    """Refuse to begin what will not fit."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DMPError(
            f"{_readable(needed)} are needed in {folder}, and {_readable(free)} "
            "are free; free some space, or choose a folder on another disk with --data"
        )
