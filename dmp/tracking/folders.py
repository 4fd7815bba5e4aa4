"""Which files of a folder make its MLflow run."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dmp.errors import DMPError
from dmp.files import read_json
from dmp.tracking.points import Point, read_convergence, read_log, read_metrics
from dmp.tracking.record import Record, digest_files, flatten

_ARTIFACTS = (
    "config.json",
    "provenance.json",
    "metrics.csv",
    "protocols.json",
    "convergence.json",
    "samples.png",
)


def run_record(folder: Path) -> Record:
    """Return the record of a run or of a baseline's own training.

    ``config.json`` and ``provenance.json`` are needed. The other files are taken as far as they
    are there, so that a run can be seen before it has been evaluated; it is replaced afterwards.

    Args:
        folder: of a run that is not being written to.

    Raises:
        DMPError: a file is missing, is not what it should be, or lacks a key.

    """
    config_path, provenance_path = folder / "config.json", folder / "provenance.json"
    artifacts = [folder / name for name in _ARTIFACTS if (folder / name).is_file()]
    log = folder / "log.jsonl"
    # Before the files are read: should one change in between, the next ingest sees another digest.
    digest = digest_files([*artifacts, log] if log.is_file() else artifacts)
    config, provenance = _read_object(config_path), _read_object(provenance_path)
    task, variant, seed, baseline_seed, config_hash = (
        str(_get(config, key, config_path))
        for key in ("task", "variant", "seed", "baseline_seed", "hash")
    )
    settings = _get(config, "config", config_path)
    if not isinstance(settings, dict):
        raise DMPError(f"{config_path}: config = {settings!r}; a JSON object is needed")
    commit = str(_get(provenance, "commit", provenance_path))
    if _get(provenance, "dirty", provenance_path):
        commit += "-dirty"
    end_ms = _milliseconds(provenance, "finished", provenance_path)

    def read_points() -> list[Point]:
        points = read_log(log)
        last = max((point.step for point in points), default=0)
        points += read_metrics(folder / "metrics.csv", end_ms, last)
        return points + read_convergence(folder / "convergence.json", end_ms, last)

    return Record(
        name=f"{task}/{variant}/seed{seed}",
        digest=digest,
        tags={
            "task": task,
            "variant": variant,
            "seed": seed,
            "baseline_seed": baseline_seed,
            "commit": commit,
            "config_hash": config_hash,
        },
        params=flatten(settings, config_path),
        read_points=read_points,
        artifacts=artifacts,
        start_ms=_milliseconds(provenance, "started", provenance_path),
        end_ms=end_ms,
    )


def tables_record(folder: Path) -> Record:
    """Return the record of a folder of rendered tables: its Markdown and CSV files.

    Raises:
        DMPError: there are none.

    """
    artifacts = sorted(path for suffix in ("csv", "md") for path in folder.glob(f"*.{suffix}"))
    if not artifacts:
        raise DMPError(
            f"{folder} holds no table (*.md or *.csv); the stage that writes it has not run"
        )
    digest = digest_files(artifacts)
    written = [round(path.stat().st_mtime * 1000) for path in artifacts]
    return Record(
        name="tables",
        digest=digest,
        tags={},
        params={},
        read_points=list,
        artifacts=artifacts,
        start_ms=min(written),
        end_ms=max(written),
    )


def _read_object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise DMPError(f"{path} is {value!r}; a JSON object is needed")
    return value


def _get(values: dict[str, Any], key: str, path: Path) -> Any:
    if key not in values:
        raise DMPError(f"{path} has no key '{key}'")
    return values[key]


def _milliseconds(provenance: dict[str, Any], key: str, path: Path) -> int:
    text = _get(provenance, key, path)
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise DMPError(
            f"{path}: {key} = {text!r}; a time such as 2026-01-31T12:00:00Z is needed"
        ) from error
    # A time without a zone must not mean another moment on another machine.
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(zoned.timestamp() * 1000)
