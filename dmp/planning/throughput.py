"""What a GPU can do: the peak of each kind, and files of what was measured on one."""

import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from dmp.config import PatchConfig, Strict, from_data, nearest
from dmp.errors import DMPError
from dmp.planning import flops
from dmp.planning.flops import AnyGeometry, Geometry
from dmp.studies.loading import read_yaml

THROUGHPUT = Path("ablations/throughput")
GPUS, PUBLISHED = "gpus.yaml", "published.yaml"

# What is measured of a backbone, each with its own arithmetic.
Work = Literal["full_training", "patch_training", "sampling", "patched_sampling"]


class Gpu(Strict):
    """A kind of GPU.

    Attributes:
        bf16: TFLOP/s of dense matrix products, with tensor cores; None where there is no bf16.
        tf32: likewise; None where convolutions run in fp32.
        fp32: TFLOP/s without tensor cores.
        memory: GB.

    """

    bf16: PositiveFloat | None = None
    tf32: PositiveFloat | None = None
    fp32: PositiveFloat
    memory: PositiveFloat


class Gpus(Strict):
    """The file ``gpus.yaml``: kinds by name, and the share of their peak that is assumed."""

    utilisation: Annotated[float, Field(gt=0, le=1)]
    gpus: Annotated[dict[str, Gpu], Field(min_length=1)]


class _Backbone(Strict):
    input_size: PositiveInt
    channels: PositiveInt
    patch_size: PositiveInt
    depth: PositiveInt
    hidden_size: PositiveInt
    num_heads: PositiveInt

    def matches(self, g: AnyGeometry) -> bool:
        """Return whether a backbone has these sizes, whatever its condition."""
        # A U-Net lacks some of them.
        return all(getattr(g, name, None) == getattr(self, name) for name in _Backbone.model_fields)


class Measurement(_Backbone):
    """What was measured of one unconditional backbone; each number may be missing.

    Attributes:
        name: for people.
        batch_size: images of a training step.
        sampling_batch_size: images of a network evaluation.
        full_training: images per second, all weights trained.
        patch_training: images per second, the default patch trained on a frozen backbone.
        sampling: network evaluations of one image per second, without a patch.
        patched_sampling: likewise with the default patch.
        full_training_memory: peak, in GiB; likewise the other three.

    """

    name: str
    batch_size: PositiveInt
    sampling_batch_size: PositiveInt
    full_training: PositiveFloat | None = None
    patch_training: PositiveFloat | None = None
    sampling: PositiveFloat | None = None
    patched_sampling: PositiveFloat | None = None
    full_training_memory: PositiveFloat | None = None
    patch_training_memory: PositiveFloat | None = None
    sampling_memory: PositiveFloat | None = None
    patched_sampling_memory: PositiveFloat | None = None

    def macs_per_second(self, work: Work) -> float | None:
        """Return what a measured rate is in MACs per second, so that it serves all variants."""
        rate = getattr(self, work)
        if rate is None:
            return None
        g = Geometry(**{name: getattr(self, name) for name in _Backbone.model_fields})
        return rate * {
            "full_training": lambda: flops.train(g),
            "patch_training": lambda: flops.train(g, PatchConfig()),
            "sampling": lambda: flops.forward(g),
            "patched_sampling": lambda: flops.forward(g, PatchConfig()),
        }[work]()  # fmt: skip


class Throughput(Strict):
    """A throughput file: what was measured on one GPU, with one version of the code.

    Attributes:
        gpu: a kind in ``gpus.yaml``, or another name for a device that is not among them.
        device: as the driver names it.
        torch: version.
        commit: of this project; ``-dirty`` if files differed from it.
        date: when.
        precision: of training and sampling.
        compiled: whether the backbone went through ``torch.compile``.
        note: what a reader of the numbers should know.
        models: the backbones.

    """

    gpu: str
    device: str
    torch: str
    commit: str
    date: datetime.date
    precision: Literal["fp32", "bf16"]
    compiled: bool
    note: str = ""
    models: Annotated[list[Measurement], Field(min_length=1)]


class Published(_Backbone):
    """A baseline whose weights are public.

    Attributes:
        name: for people.
        source: address.
        data: the dataset it was trained on, by the name that scales give it.
        label_rows: rows of its label embedding.

    """

    name: str
    source: str
    data: str
    label_rows: PositiveInt


class _PublishedFile(Strict):
    published: list[Published]


def load_gpus(folder: Path) -> Gpus:
    """Read ``gpus.yaml``.

    Raises:
        DMPError: it is unreadable or not valid.

    """
    return from_data(Gpus, read_yaml(folder / GPUS), str(folder / GPUS))


def find_gpu(gpus: Gpus, name: str, precision: str) -> Gpu:
    """Return a kind of GPU that knows the precision.

    Raises:
        DMPError: no such kind, or it lacks the precision.

    """
    if name not in gpus.gpus:
        raise DMPError(f"unknown kind of GPU '{name}': {nearest(name, gpus.gpus)}")
    found = gpus.gpus[name]
    if precision == "bf16" and found.bf16 is None:
        able = ", ".join(sorted(kind for kind, gpu in gpus.gpus.items() if gpu.bf16))
        raise DMPError(f"the scale has precision: bf16, which a {name} lacks; accepted: {able}")
    return found


def load_throughput(folder: Path) -> dict[str, Throughput]:
    """Read all throughput files of a folder, by name.

    Raises:
        DMPError: one is unreadable or not valid; naming the file, the key and the nearest key.

    """
    paths = (p for p in sorted(folder.glob("*.yaml")) if p.name not in (GPUS, PUBLISHED))
    return {path.name: from_data(Throughput, read_yaml(path), str(path)) for path in paths}


def load_published(folder: Path) -> list[Published]:
    """Read ``published.yaml``; nothing is published where there is no such file.

    Raises:
        DMPError: it is not valid.

    """
    path = folder / PUBLISHED
    if not path.is_file():
        return []
    return from_data(_PublishedFile, read_yaml(path), str(path)).published
