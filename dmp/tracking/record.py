"""What MLflow is told about one folder, before MLflow comes into play."""

import functools
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import AwareDatetime, BaseModel

from dmp.config import content_hash, from_data
from dmp.errors import DMPError
from dmp.files import NO_ADVICE, read_json, understood
from dmp.methods import find_method
from dmp.runlog import Point, read_log
from dmp.studies.run import PRETRAINING
from dmp.tracking.points import read_convergence, read_gate, read_metrics

# Enough for a curve; the whole log is among the artifacts.
MAX_RECORDS = 100
# Three times the paper's largest patch. A third of a DiT-XL/2, which adaln trains, is beyond it.
MAX_PATCH_BYTES = 100_000_000

_ARTIFACTS = (
    "config.json",
    "provenance.json",
    "metrics.csv",
    "protocols.json",
    "convergence.json",
    "samples.png",
    "log.jsonl",
    "gate.npz",
)
# Part of every digest: raise it when the same files should look different in MLflow.
_MAPPING_VERSION = "5"


class _Config(BaseModel):
    """What is needed of ``config.json``."""

    task: str
    variant: str
    seed: int
    baseline_seed: int
    hash: str
    config: dict[str, Any]


class _Provenance(BaseModel):
    """What is needed of ``provenance.json``."""

    commit: str
    dirty: bool | None
    started: AwareDatetime
    finished: AwareDatetime


class DatasetUse(NamedTuple):
    """The data that a run was trained on, as MLflow lists it.

    The digest is that of the real images' features, which the metrics were computed against; before
    the run is evaluated, ``config-`` and the hash of how the data are configured. Source and
    profile are JSON: the configuration that leads to the images, and what is known of them.
    """

    name: str
    digest: str
    source: str
    profile: str


@dataclass(frozen=True)
class Record:
    """One folder as one MLflow run.

    Attributes:
        name: unique within an experiment.
        title: what MLflow's lists call it.
        digest: of the content of the files that the record was made from, and of the tags.
        read_points: reads the metric histories. A function, since they are the bulk of a folder
            and most folders of a repeated ingest are unchanged.
        artifacts: path among the run's artifacts to the file to keep there.
    """

    name: str
    title: str
    digest: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    read_points: Callable[[], list[Point]]
    artifacts: Mapping[str, Path]
    dataset: DatasetUse | None
    start_ms: int
    end_ms: int


def run_record(folder: Path, tags: Mapping[str, str] | None = None) -> Record:
    """Return the record of a run, or of a baseline's own training, that is not being written to.

    ``config.json`` and ``provenance.json`` are required. Other files are taken if present: a run
    can be seen before it has been evaluated, and is replaced afterwards. What a method has added to
    its backbone is kept with the run, up to ``MAX_PATCH_BYTES`` a file; whole models are not, which
    are gigabytes at full scale.

    Raises:
        DMPError: a file is missing, is not what it should be, or lacks a key.
    """
    artifacts = {name: folder / name for name in _ARTIFACTS if (folder / name).is_file()}
    config = from_data(_Config, read_json(folder / "config.json"), str(folder / "config.json"))
    artifacts |= _patch(folder, config.config.get("method", PRETRAINING))
    # Before the files are read: should one change in between, the next ingest sees another digest.
    further = dict(tags or {})
    digest = digest_files(list(artifacts.values()), json.dumps(further, sort_keys=True))
    path = folder / "provenance.json"
    provenance = from_data(_Provenance, read_json(path), str(path))
    start_ms, end_ms = (
        round(moment.timestamp() * 1000) for moment in (provenance.started, provenance.finished)
    )

    def read_points() -> list[Point]:
        log = read_log(folder / "log.jsonl", MAX_RECORDS)
        last = max((point.step for point in log), default=0)
        # MLflow's page of comparisons opens on the metric that was written first.
        points = read_metrics(folder / "metrics.csv", end_ms, last)
        points += log + read_convergence(folder / "convergence.json", end_ms, last)
        return points + read_gate(folder / "gate.npz", end_ms)

    with understood(folder, NO_ADVICE):
        dataset = _dataset(config.config, folder / "protocols.json")
    return Record(
        name=run_name(config.task, config.variant, config.seed),
        title=run_title(config.task, config.variant, config.seed),
        digest=digest,
        tags={
            **identity(config.task, config.variant, config.seed),
            "baseline_seed": _sortable(config.baseline_seed),
            "commit": provenance.commit + ("-dirty" if provenance.dirty else ""),
            "config_hash": config.hash,
            "mlflow.source.git.commit": provenance.commit,
            **further,
        },
        params=flatten(config.config),
        read_points=read_points,
        artifacts=artifacts,
        dataset=dataset,
        start_ms=start_ms,
        end_ms=end_ms,
    )


def identity(task: str, variant: str, seed: int) -> dict[str, str]:
    """Return the tags that say which run it is, and of which cell it is a seed."""
    cell = _cell(task, variant)
    return {"task": task, "variant": variant, "seed": _sortable(seed), "cell": cell}


def run_name(task: str, variant: str, seed: int) -> str:
    """Return ``task/variant/seed000``: sorted by name, runs are sorted by seed too."""
    return f"{task}/{variant}/seed{_sortable(seed)}"


def run_title(task: str, variant: str, seed: int) -> str:
    """Return ``dmp · uncond · s0``: what differs first, since MLflow cuts long names."""
    return f"{_cell(task, variant)} · s{seed}"


def _cell(task: str, variant: str) -> str:
    return f"{variant} · {task.replace('conditional', 'cond')}"


def _sortable(seed: int) -> str:
    # MLflow sorts tags as text.
    return str(seed).zfill(3)


def digest_files(paths: Sequence[Path], *texts: str) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of files' names and contents, and of texts.

    Raises:
        DMPError: a file cannot be read.
    """
    digest = hashlib.sha256(_MAPPING_VERSION.encode())
    for path in paths:
        try:
            found = path.stat()
            # A file that has just been written may change within the clock's resolution.
            settled = time.time() - found.st_mtime > 10
            hashed = _content if settled else _content.__wrapped__
            content = hashed(path, found.st_size, found.st_mtime_ns)
        except OSError as error:
            raise DMPError(f"cannot read {path}: {error.strerror or error}") from error
        digest.update(f"\n{path.name} {content}".encode())
    for text in texts:
        digest.update(f"\n{len(text)} {text}".encode())
    return digest.hexdigest()


@functools.cache  # whoever watches runs asks for the same files again and again
def _content(path: Path, size: int, mtime_ns: int) -> str:
    """Return the SHA-256 of a file, which is read once as long as its size and time stay."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a nested configuration as MLflow parameters with dotted keys.

    Strings stay as they are; everything else is written as in JSON, lists too.
    """
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat


def _patch(folder: Path, method: str) -> dict[str, Path]:
    """Return the files of what a method has added to its backbone, peft's own among them."""
    if method == PRETRAINING:
        return {}
    found = find_method(method, f"{folder / 'config.json'}: method")
    if not found.trains or found.saves_backbone:
        return {}
    saved = [folder / "weights.safetensors", *sorted((folder / "weights.peft").glob("adapter_*"))]
    return {
        f"patch/{path.relative_to(folder)}": path
        for path in saved
        if path.is_file() and path.stat().st_size <= MAX_PATCH_BYTES
    }


def _dataset(settings: Mapping[str, Any], protocols: Path) -> DatasetUse | None:
    data = (settings.get("config") or {}).get("data")
    if data is None:
        return None
    digest, profile = f"config-{content_hash(data)}", {}
    for protocol in read_json(protocols).values() if protocols.is_file() else ():
        reference = protocol.get("reference") or {}
        if "sha256" in reference:
            # MLflow takes 36 characters.
            digest, profile = reference["sha256"][:36], reference
    return DatasetUse(data["name"], digest, json.dumps(data, sort_keys=True), json.dumps(profile))
