"""Which files of a folder make its MLflow run."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dmp.config import content_hash
from dmp.errors import DMPError
from dmp.files import read_json
from dmp.tracking.heatmap import gate_picture
from dmp.tracking.points import Point, read_convergence, read_log, read_metrics
from dmp.tracking.record import DatasetUse, Record, digest_files, flatten

# Enough for a curve; the whole log is among the artifacts.
MAX_RECORDS = 100

_ARTIFACTS = (
    "config.json",
    "provenance.json",
    "metrics.csv",
    "protocols.json",
    "convergence.json",
    "samples.png",
    "log.jsonl",
)


def run_record(folder: Path, tags: Mapping[str, str] | None = None) -> Record:
    """Return the record of a run or of a baseline's own training.

    ``config.json`` and ``provenance.json`` are needed. The other files are taken as far as they
    are there, so that a run can be seen before it has been evaluated; it is replaced afterwards.

    The weights of a patch are kept with the run, as ``patch/weights.safetensors`` and their header
    as JSON. Those of other runs are not: they are whole models, gigabytes at full scale.

    The dataset's digest is that of the real images' features, which the metrics were computed
    against; before the run is evaluated, it is ``config-`` and the hash of how the data are
    configured.

    Args:
        folder: of a run that is not being written to.
        tags: further tags.

    Raises:
        DMPError: a file is missing, is not what it should be, or lacks a key.

    """
    config_path, provenance_path = folder / "config.json", folder / "provenance.json"
    artifacts = {name: folder / name for name in _ARTIFACTS if (folder / name).is_file()}
    weights, gate = folder / "weights.safetensors", folder / "gate.npz"
    has_patch = weights.is_file() and _has_patch(_read_object(config_path))
    watched = [*artifacts.values(), *[gate] * gate.is_file(), *[weights] * has_patch]
    # Before the files are read: should one change in between, the next ingest sees another digest.
    digest = digest_files(watched, json.dumps(dict(tags or {}), sort_keys=True))
    config, provenance = _read_object(config_path), _read_object(provenance_path)
    task, variant, seed, baseline_seed, config_hash = (
        str(_get(config, key, config_path))
        for key in ("task", "variant", "seed", "baseline_seed", "hash")
    )
    settings = _get(config, "config", config_path)
    if not isinstance(settings, dict):
        raise DMPError(f"{config_path}: config = {settings!r}; a JSON object is needed")
    commit = str(_get(provenance, "commit", provenance_path))
    dirty = "-dirty" if _get(provenance, "dirty", provenance_path) else ""
    end_ms = _milliseconds(provenance, "finished", provenance_path)
    log = folder / "log.jsonl"

    def read_points() -> list[Point]:
        points = read_log(log, MAX_RECORDS)
        last = max((point.step for point in points), default=0)
        points += read_metrics(folder / "metrics.csv", end_ms, last)
        return points + read_convergence(folder / "convergence.json", end_ms, last)

    made = {}
    if gate.is_file():
        made["gate.png"] = lambda: gate_picture(gate)
    if has_patch:
        artifacts["patch/weights.safetensors"] = weights
        made["patch/header.json"] = lambda: _header(weights)
    return Record(
        name=run_name(task, variant, seed),
        digest=digest,
        tags={
            "task": task,
            "variant": variant,
            "seed": _sortable(seed),
            "baseline_seed": _sortable(baseline_seed),
            "commit": commit + dirty,
            "config_hash": config_hash,
            "mlflow.source.git.commit": commit,
            **(tags or {}),
        },
        params=flatten(settings, config_path),
        read_points=read_points,
        artifacts=artifacts,
        made=made,
        dataset=_dataset(settings, folder / "protocols.json"),
        start_ms=_milliseconds(provenance, "started", provenance_path),
        end_ms=end_ms,
    )


def run_name(task: str, variant: str, seed: int | str) -> str:
    """Return ``task/variant/seed000``: sorted by name, runs are sorted by seed too."""
    return f"{task}/{variant}/seed{_sortable(seed)}"


def _sortable(seed: int | str) -> str:
    # MLflow sorts tags as text.
    return str(seed).zfill(3)


def _has_patch(config: dict[str, Any]) -> bool:
    settings = config.get("config")
    return isinstance(settings, dict) and settings.get("patch") is not None


def _header(path: Path) -> bytes:
    """Return what a file of tensors says of itself, and each tensor's type and shape, as JSON."""
    from safetensors import SafetensorError, safe_open

    try:
        # With "np", nothing here needs torch.
        with safe_open(path, framework="np") as file:
            metadata = {key: json.loads(text) for key, text in (file.metadata() or {}).items()}
            tensors = {}
            for name in sorted(file.keys()):
                part = file.get_slice(name)
                tensors[name] = {"dtype": part.get_dtype(), "shape": part.get_shape()}
    except (SafetensorError, OSError, ValueError) as error:
        raise DMPError(
            f"{path} is truncated or corrupt ({error}); delete it and run the same command again"
        ) from error
    text = json.dumps({"metadata": metadata, "tensors": tensors}, indent=2, sort_keys=True)
    return f"{text}\n".encode()


def _dataset(settings: dict[str, Any], protocols_path: Path) -> DatasetUse | None:
    task = settings.get("config")
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict) or "name" not in data:
        return None
    digest, profile = f"config-{content_hash(data)}", {}
    if protocols_path.is_file():
        for protocol in _read_object(protocols_path).values():
            reference = protocol.get("reference") if isinstance(protocol, dict) else None
            if isinstance(reference, dict) and "sha256" in reference:
                # MLflow takes 36 characters.
                digest, profile = str(reference["sha256"])[:36], reference
    return DatasetUse(
        str(data["name"]), digest, json.dumps(data, sort_keys=True), json.dumps(profile)
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
