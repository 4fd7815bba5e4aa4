"""Every kind of file that the program reads: how one is made, and who reads it."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import torch
from fuzzing import Kind
from harness import ROOT, edit_yaml
from safetensors.torch import save_file
from torch import nn

from dmp.arrayfile import save_arrays
from dmp.config import LatentsConfig, PatchConfig, SourceConfig
from dmp.data.captions import Captions, load_captions, save_captions
from dmp.data.latents.encode import LABELS, LATENTS
from dmp.data.latents.store import LatentStore
from dmp.data.manifest import PICTURES, Manifest, load_manifest
from dmp.data.shards import Row, Shards
from dmp.files import write_csv, write_json, write_text
from dmp.layout import Layout
from dmp.metrics.classifier import NAME, ClassifierFeatures, new_classifier, save_classifier
from dmp.metrics.features import Features, load_features, save_features
from dmp.metrics.reference import Floor, Reference, load_reference, read_published, save_reference
from dmp.patching.loading import read_patch
from dmp.products.product import Product, read_record
from dmp.reporting.figures.data import FigureData
from dmp.runlog import RunLog, read_log
from dmp.stages import reference as published
from dmp.stages.check_data import Trained
from dmp.stages.collect import run_rows
from dmp.stages.numbers import Numbers
from dmp.statistics.results import BASELINE_COLUMNS, RESULT_COLUMNS, read_baselines, read_results
from dmp.studies.loading import load_scale
from dmp.sweeps.storage import load_study, open_storage, open_study
from dmp.tensorfile import load_tensors, read_description, save_tensors
from dmp.tracking.record import run_record
from dmp.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from dmp.training.meter import MeterState

Make = Callable[[Path], Path | list[Path]]
RUN = ("t", "dmp", 0)


def unsealed(make: Make) -> Make:
    """As an earlier version leaves a folder: without seals beside its texts."""

    def made(folder: Path) -> Path | list[Path]:
        path = make(folder)
        for seal in folder.rglob(".*.sha256"):
            seal.unlink()
        return path

    return made


# Tensors


def _tensors() -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    return {
        "blocks.0.weight": torch.randn(8, 4, generator=source),
        "blocks.1.weight": torch.randn(4, 8, generator=source),
        "half": torch.randn(6, generator=source).bfloat16(),
        "count": torch.tensor(7),
    }


def _tensor_file(folder: Path) -> Path:
    save_tensors(folder / "w.safetensors", _tensors(), {"format": "weights", "identity": "abc123"})
    return folder / "w.safetensors"


def _old_tensor_file(folder: Path) -> Path:
    """As an earlier version wrote it: with a checksum of the tensors, and none of the header."""
    digest, tensors = hashlib.sha256(), _tensors()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    header = {"description": {"format": "weights"}, "sha256": digest.hexdigest()}
    save_file(tensors, folder / "w.safetensors", {"dmp": json.dumps(header, sort_keys=True)})
    return folder / "w.safetensors"


def _training() -> tuple[dict[str, nn.Parameter], torch.optim.Optimizer, dict[str, torch.Tensor]]:
    weight = nn.Parameter(torch.linspace(0, 1, 12).reshape(3, 4))
    optimizer = torch.optim.AdamW([weight], fused=True)
    weight.grad = torch.ones(3, 4)
    optimizer.step()
    return {"weight": weight}, optimizer, {"weight": torch.zeros(3, 4)}


def _checkpoint(folder: Path) -> Path:
    progress = Progress(40, MeterState(3, {"loss": torch.tensor(0.5)}), 41)
    save_checkpoint(folder / "checkpoint.safetensors", "abc123", progress, *_training())
    return folder / "checkpoint.safetensors"


def _resumed(path: Path) -> Any:
    trainable, optimizer, averaged = _training()
    progress = load_checkpoint(path, "abc123", trainable, optimizer, averaged)
    state = optimizer.state_dict()["state"][0]
    return progress, trainable["weight"].data, dict(state), averaged


def _captions(folder: Path) -> Path:
    numbers = [np.arange(4).reshape(2, 2) + first for first in (0, 4)]
    captions = Captions(torch.ones(9, 3), *numbers, np.arange(4), ["a", "b c", "d", "e"])
    save_captions(folder / "captions.safetensors", captions)
    return folder / "captions.safetensors"


def _patch(folder: Path) -> Path:
    description = {"format": "dmp-patch", "config": PatchConfig().model_dump(mode="json")}
    save_tensors(folder / "p.safetensors", _tensors(), {**description, "backbone": {"depth": 2}})
    return folder / "p.safetensors"


def _classifier(folder: Path) -> Path:
    save_classifier(folder / "digits.safetensors", new_classifier(1, 2), {"accuracy": 0.5})
    return folder / "digits.safetensors"


def _extractor(path: Path) -> Any:
    return ClassifierFeatures(NAME, ["features"], path).classifier.state_dict()


# Arrays


def _features(count: int = 6) -> Features:
    numbers = np.random.default_rng(0)
    return Features(
        numbers.standard_normal((count, 4), np.float32),
        numbers.standard_normal((count, 2), np.float32),
    )


def _samples(folder: Path) -> Path:
    images = np.zeros((2, 1, 4, 4), np.uint8)
    path = Layout(folder, "s").samples(*RUN)
    save_features(path, _features(), images=images, labels=np.arange(2))
    return path


def _old_samples(folder: Path) -> Path:
    np.savez(folder / "samples.npz", **_features()._asdict())
    return folder / "samples.npz"


def _reference(folder: Path) -> Path:
    found = Reference(np.ones(4), np.eye(4), 6, _features(), Floor(1.5, 6))
    save_reference(folder / "r.npz", found)
    return folder / "r.npz"


def _batch(folder: Path) -> Path:
    images = np.zeros((3, 4, 4, 3), np.uint8)
    np.savez(folder / "adm.npz", mu=np.ones(4), sigma=np.eye(4), arr_0=images)
    return folder / "adm.npz"


def _gate(folder: Path) -> Path:
    path = Layout(folder, "s").gate(*RUN)
    weights = np.random.default_rng(0).random((3, 2, 4), np.float32)
    save_arrays(path, {"timesteps": np.arange(3), "weights": weights, "entropy": np.ones(3)})
    return path


def _drawn(what: str, path: Path) -> Any:
    data = FigureData(pd.DataFrame(), None, [0], Layout(path.parents[5], "s"))
    return getattr(data, what)(*RUN)


def _cache(names: list[str], folder: Path) -> list[Path]:
    identity = {"format": "latents", "resolution": 16, "dtype": "float32"}
    arrays = {LATENTS: Row((2, 2, 4, 2, 2), "float32"), LABELS: Row((), "int64")}
    shards = Shards(folder, identity, arrays, 4)
    numbers = np.random.default_rng(0)
    for shard in range(2):
        latents = numbers.standard_normal((2, 2, 2, 4, 2, 2), np.float32)
        rows = range(2 * shard, 2 * shard + 2)
        shards.write(shard, rows, [{LATENTS: latents, LABELS: np.arange(2)}])
    shards.seal(autoencoder="tiny")
    return [folder / name for name in names]


def _latents(path: Path) -> Any:
    store = LatentStore(path.parent, LatentsConfig(autoencoder="tiny", dtype="float32"))
    rows = np.arange(len(store))
    return store.labels, store.posterior(rows, rows % 2 == 1)


# Text


def _run(name: str, folder: Path) -> Path:
    place = Layout(folder, "s").run(*RUN)
    protocol = "0123456789ab"
    lines = ["metric,bin,iteration,value,samples,protocol,evaluator"]
    lines += [f"m{n},all,40,{n / 7!r},{n + 5},{protocol},inception" for n in range(12)]
    write_text(place / "metrics.csv", "\n".join(lines) + "\n")
    config = {"task": "t", "variant": "dmp", "seed": 0, "hash": "abcdef", "baseline_seed": 0}
    write_json(
        place / "config.json",
        config | {"config": {"method": "dmp", "config": {"data": {"name": "d"}}}},
    )
    moments = {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:01:00Z"}
    write_json(place / "provenance.json", {"commit": "0" * 12, "dirty": False, **moments})
    return place / name


def _tracked(folder: Path) -> list[Path]:
    place = _run("config.json", folder).parent
    reference = {"reference": {"sha256": "0" * 64, "images": 6}, "evaluator": "inception"}
    write_json(place / "protocols.json", {"0123456789ab": reference})
    write_json(place / "convergence.json", {"fids": [2.0, 1.5], "iterations": [20, 40], "tau": 0.5})
    with RunLog(place / "log.jsonl", 0) as log:
        log.write(10, {"loss": 0.5})
    return sorted(path for path in place.iterdir() if not path.name.startswith("."))


def _in_mlflow(path: Path) -> Any:
    found = run_record(path.parent)
    return found.tags, found.params, found.dataset, found.read_points()


def _rows(path: Path) -> Any:
    return run_rows(Layout(path.parents[5], "s"), *RUN)


def _table(columns: dict[str, type], count: int = 6) -> pd.DataFrame:
    made = {
        int: lambda n: n,
        float: lambda n: 1 + n / 7,
        bool: lambda n: n % 2 == 0,
        str: lambda n: f"text{n}",
    }
    return pd.DataFrame(
        [{name: made[kind](n) for name, kind in columns.items()} for n in range(count)]
    )


def _csv(columns: Any, folder: Path) -> Path:
    write_csv(folder / "table.csv", _table(columns))
    return folder / "table.csv"


def _published(names: list[str], folder: Path) -> list[Path]:
    results = _table(dict(RESULT_COLUMNS)).assign(bin=["all", "0-99"] * 3, task="t", variant="dmp")
    results = results.assign(seed=[0, 0, 1, 1, 2, 2], baseline_seed=0, metric="mse", iteration=40)
    results = results.assign(protocol="abc", evaluator="", commit="0" * 12, config="abcdef")
    baselines = _table({**BASELINE_COLUMNS, "config": str})
    lists = ("dirty", "machine", "device", "python", "libc", "numerics", "architecture")
    origin: dict[str, Any] = {name: ["portable"] for name in (*lists, "processor", "commit")}
    origin |= {"dirty": [False], "versions": [{"torch": "2"}], "runs": 3, "started": "a",
               "finished": "b"}  # fmt: skip
    found = published.Published.model_validate(
        {"origin": origin, "seeds": {"table2": {"first": 0, "last": 2}}}
    )
    published.Reference(folder).write(found, Numbers(results.astype(str), baselines))
    return [folder / name for name in names]


def _what_is_published(path: Path) -> Any:
    folder = path.parent if path.name == "provenance.json" else path.parent.parent
    found = published.Reference(folder)
    return found.published, found.numbers.long(), found.numbers.results


def _log(folder: Path) -> Path:
    with RunLog(folder / "log.jsonl", 0) as log:
        for step in range(10, 80, 10):
            log.write(step, {"loss": 1 / step, "gate/entropy": 0.25})
    return folder / "log.jsonl"


def _resumed_log(path: Path) -> None:
    """A training goes on whatever its log is like; a damaged one is kept beside it."""
    before = path.read_bytes()
    with RunLog(path, 40):
        pass
    points = read_log(path)
    aside = path.with_stem("log-damaged")
    assert all(point.step <= 40 for point in points)
    assert not aside.exists() or aside.read_bytes() == before


def _journal(folder: Path) -> Path:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / "journal.log"
    study = open_study(open_storage(path), "s", ["fid"])
    for value in (0.5, 0.25, 1.0):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr("variant", "dmp")
        study.tell(trial, value)
    return path


def _trials(path: Path) -> Any:
    trials = load_study(open_storage(path), "s").get_trials(deepcopy=False)
    return [(t.number, t.state, t.values, t.params, t.user_attrs) for t in trials]


def _product(folder: Path) -> Product:
    files = (folder / "weights.safetensors", folder / "provenance.json")
    return Product("weights", RUN, lambda: "abc123", folder / ".fingerprints/w.json", files)


def _record(folder: Path) -> Path:
    product = _product(folder)
    save_tensors(product.files[0], _tensors(), {"format": "weights"})
    write_json(product.files[1], {"commit": "0" * 12})
    product.mark_finished()
    return product.record


def _is_current(path: Path) -> Any:
    folder = path.parent.parent if path.parent.name == ".fingerprints" else path.parent
    return read_record(folder / ".fingerprints/w.json"), _product(folder).is_current()


def _weights_of_record(folder: Path) -> Path:
    _record(folder)
    return folder / "weights.safetensors"


def _current_or_read(path: Path) -> Any:
    """A current product's file is read; one that is not current would be made again."""
    assert _is_current(path)[1]
    return load_tensors(path)


SOURCE = {"format": "folder", "path": "photos", "resolution": 64}


def _manifest(folder: Path) -> Path:
    found = Manifest(
        dataset="d", source=SourceConfig.model_validate(SOURCE), images=3, classes=["a", "b"],
        content_sha256="0" * 64, captions_sha256=None, modes={"RGB": 3}, sizes={"64x64": 3},
        distinct_sizes=1, shorter_edge=(64, 64), enlarged=0, captions_per_image={"0": 3},
        duplicates=0, damaged=0, notes=0, findings="findings.csv",
    )  # fmt: skip
    write_json(folder / "manifest.json", found.model_dump(mode="json"))
    return folder / "manifest.json"


def _checked(path: Path) -> Any:
    return load_manifest(path, SourceConfig.model_validate(SOURCE), "d")


def _pictures(folder: Path) -> Path:
    _manifest(folder)
    save_arrays(folder / PICTURES, {"pictures": np.arange(48, dtype=np.uint8).reshape(3, 16)})
    return folder / PICTURES


def _trained(path: Path) -> Any:
    found = Trained.read(_checked(path.with_name("manifest.json")), path)
    return sorted(found.pictures or ())


def _scale(folder: Path) -> Path:
    path = folder / "scales" / "smoke.yaml"
    path.parent.mkdir()
    path.write_bytes((ROOT / "ablations/scales/smoke.yaml").read_bytes())
    edit_yaml(path, lambda d: d.update(tasks=dict(list(d["tasks"].items())[:1])))
    return path


TEXTS = {
    "numbers of a run": (partial(_run, "metrics.csv"), _rows),
    "configuration of a run": (partial(_run, "config.json"), _rows),
    "provenance of a run": (partial(_run, "provenance.json"), _rows),
    "table of numbers": (partial(_csv, RESULT_COLUMNS), read_results),
    "table of baselines": (partial(_csv, BASELINE_COLUMNS), read_baselines),
    "numbers of a reference": (
        partial(_published, [f"numbers/{name}.csv" for name in ("runs", "sources", "baselines")]),
        _what_is_published,
    ),
    "provenance of a reference": (partial(_published, ["provenance.json"]), _what_is_published),
    "log": (_log, read_log),
    "run in MLflow": (_tracked, _in_mlflow),
    "record of a product": (_record, _is_current),
    "manifest of a dataset": (_manifest, _checked),
    "index of a cache": (partial(_cache, ["index.json"]), _latents),
    "record of a shard": (partial(_cache, ["shard-00001.json"]), _latents),
}
KINDS = [
    Kind("tensors", _tensor_file, load_tensors),
    Kind("description of tensors", _tensor_file, read_description),
    Kind("tensors of a product", _weights_of_record, _current_or_read),
    Kind("checkpoint", _checkpoint, _resumed),
    Kind("captions", _captions, load_captions),
    Kind("patch", _patch, read_patch),
    Kind("classifier of a dataset", _classifier, _extractor),
    Kind("features of samples", _samples, load_features),
    Kind("samples that are drawn", _samples, partial(_drawn, "samples")),
    Kind("reference features", _reference, load_reference),
    Kind("gate", _gate, partial(_drawn, "gate")),
    Kind("pictures of a dataset", _pictures, _trained),
    Kind("latents", partial(_cache, [f"{LATENTS}-00001.npy", f"{LABELS}-00000.npy"]), _latents),
    Kind("journal of a sweep", _journal, _trials, changes=True),
    Kind("journal without a seal", unsealed(_journal), _trials, exact=False, changes=True),
    Kind("log of a resumed training", _log, _resumed_log, exact=False, changes=True),
    Kind("log of a killed training", unsealed(_log), _resumed_log, exact=False, changes=True),
    *(Kind(name, *text) for name, text in TEXTS.items()),
    # Of earlier versions and of others: whatever it is read as, it is never another exception.
    Kind("tensors without a seal", _old_tensor_file, lambda path: load_tensors(path)[0]),
    Kind("arrays without a seal", _old_samples, load_features),
    Kind("published reference", _batch, partial(read_published, extract=lambda _: _features(3))),
    Kind("scale", _scale, lambda path: load_scale(path.parents[1], "smoke"), exact=False),
    *(
        Kind(f"{name} without a seal", unsealed(make), read, exact=False)
        for name, (make, read) in TEXTS.items()
    ),
]
