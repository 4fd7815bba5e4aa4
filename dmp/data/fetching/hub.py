"""A dataset on the Hugging Face hub, through the hub's own client, which handles the login.

The client gives each file its name once it is whole, and leaves out those that are there.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from dmp.config import DownloadConfig
from dmp.data.fetching.disk import disk_error, ensure_space, is_of_disk
from dmp.errors import DMPError

LOGIN = "log in with `hf auth login` or set HF_TOKEN"


def fetch_snapshot(name: str, download: DownloadConfig, target: Path) -> None:
    """Fetch a dataset's files to ``target``, unless it is there.

    Raises:
        DMPError: it cannot be had, or is not what it should be.
        OSError: it cannot be written.

    """
    if target.exists():
        return
    from huggingface_hub import HfApi, snapshot_download

    where = f"dataset '{name}': https://huggingface.co/datasets/{download.hub}"
    part = target.with_name(f".{target.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    wanted = {
        "repo_type": "dataset",
        "allow_patterns": download.files or None,
        "local_dir": part,
    }
    try:
        # First what there is: without a network the client returns a folder that holds anything.
        files = snapshot_download(download.hub, revision=download.revision, dry_run=True, **wanted)
        if not files:
            raise DMPError(
                f"{where} has no file that fits {', '.join(download.files)}; correct 'files' in "
                "the dataset's download"
            )
        ensure_space(name, part, sum(f.file_size or 0 for f in files if f.will_download))
        # From here on one commit, whatever its owner does meanwhile.
        commit = files[0].commit_hash
        snapshot_download(download.hub, revision=commit, **wanted)
        checked = HfApi().verify_repo_checksums(
            download.hub, repo_type="dataset", revision=commit, local_dir=part
        )
    except DMPError:
        raise
    except Exception as error:  # the client's own, and those of the HTTP client beneath it
        chain = list(_chain(error))
        full = next((c for c in chain if isinstance(c, OSError) and is_of_disk(c)), None)
        if full is not None:
            raise disk_error(name, part, full) from error
        raise _problem(where, download, chain) from error
    absent = sorted({file.filename for file in files} & set(checked.missing_paths))
    damaged = sorted(mismatch["path"] for mismatch in checked.mismatches)
    for file in damaged:
        (part / file).unlink()
    if absent or damaged:
        raise DMPError(
            f"{where}: {len(absent)} files did not arrive and {len(damaged)} do not have the "
            f"hub's checksum, the first is {[*absent, *damaged][0]}; run the same command again: "
            "it fetches those alone"
        )
    shutil.rmtree(part / ".cache", ignore_errors=True)  # the client's notes
    part.rename(target)


def _problem(where: str, download: DownloadConfig, chain: list[BaseException]) -> DMPError:
    """Return the sentence that a user reads of an error and its causes."""
    from huggingface_hub import errors

    for cause in chain:
        if isinstance(cause, errors.GatedRepoError):
            return DMPError(
                f"{where} is gated, and this account has no access: accept the terms at "
                f"{download.page}, wait until access is granted, {LOGIN}, and run the same command "
                "again"
            )
        if isinstance(cause, errors.RevisionNotFoundError):
            return DMPError(f"{where} has no revision '{download.revision}'; correct 'revision'")
        if isinstance(cause, errors.RepositoryNotFoundError):
            return DMPError(
                f"{where} does not exist or is not public; correct 'hub' in the dataset's "
                f"download, or {LOGIN} of an account that may see it"
            )
        if isinstance(cause, errors.HfHubHTTPError):
            status = cause.response.status_code
            remedy = {
                401: f"the token is not valid: {LOGIN} anew",
                403: "the token may not read it: give it the right to read public gated "
                f"repositories (https://huggingface.co/settings/tokens), and {LOGIN} anew",
            }.get(status, "try later: what has arrived is kept")
            return DMPError(f"{where} was refused with HTTP status {status}; {remedy}")
    reason = (str(chain[-1]).strip().splitlines() or [type(chain[-1]).__name__])[0]
    return DMPError(
        f"{where} cannot be fetched ({reason}); see to that, and run the same command again: "
        "files that have arrived are kept"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
