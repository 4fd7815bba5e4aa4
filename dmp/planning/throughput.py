"""What a GPU can do: the peak of each kind, and files of what was measured on one."""

import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dmp.backbones import DiT
from dmp.config import BackboneConfig, Strict, TaskConfig, from_data, nearest
from dmp.config.numbers import Count, Rate, Size
from dmp.data.shape import input_shape
from dmp.errors import DMPError
from dmp.studies.loading import read_yaml

THROUGHPUT = Path("ablations/throughput")
GPUS = "gpus.yaml"

# What is measured of a backbone.
Work = Literal["full_training", "patch_training", "sampling", "patched_sampling"]


class Gpu(Strict):
    """A kind of GPU.

    Attributes:
        bf16: TFLOP/s of dense matrix products, with tensor cores; None where there is no bf16.
        tf32: likewise; None where convolutions run in fp32.
        fp32: TFLOP/s without tensor cores.
        memory: GB.
        devices: what the driver calls it.
    """

    bf16: Rate | None = None
    tf32: Rate | None = None
    fp32: Rate
    memory: Rate
    devices: list[str] = []

    def peak(self, precision: str) -> float:
        """Return TFLOP/s of matrix products; in fp32 where the GPU lacks the precision."""
        return (self.bf16 if precision == "bf16" else None) or self.fp32


class Gpus(Strict):
    """The file ``gpus.yaml``: kinds by name, and the share of their peak that is assumed."""

    utilisation: Annotated[float, Field(ge=0.001, le=1)]
    gpus: Annotated[dict[str, Gpu], Field(min_length=1)]


class Sizes(Strict):
    """The sizes of a DiT, whatever its condition."""

    input_size: Size
    channels: Size
    patch_size: Size
    depth: Size
    hidden_size: Size
    num_heads: Size

    @classmethod
    def of(cls, task: TaskConfig) -> "Sizes | None":
        """Return the sizes of a task's backbone; None if it is not a DiT."""
        shape, backbone = input_shape(task.data), task.backbone
        if not isinstance(backbone, BackboneConfig):
            return None
        return Sizes(
            input_size=shape.size, channels=shape.channels, **backbone.model_dump(exclude={"kind"})
        )

    def matches(self, other: "Sizes | None") -> bool:
        """Return whether another backbone has these sizes."""
        return all(getattr(other, name, None) == getattr(self, name) for name in Sizes.model_fields)

    def dit(self) -> DiT:
        """Return an unconditional DiT of these sizes, not yet initialised."""
        return DiT(self.input_size, self.patch_size, self.channels, self.hidden_size, self.depth,
                   self.num_heads)  # fmt: skip


class Measurement(Sizes):
    """What was measured of one unconditional backbone; each number may be missing.

    Attributes:
        batch_size: images of a training step.
        sampling_batch_size: images of a network evaluation.
        full_training: images per second, all weights trained.
        patch_training: images per second, the default patch trained on a frozen backbone.
        sampling: network evaluations of one image per second, without a patch.
        patched_sampling: likewise with the default patch.
        full_training_memory: peak, in GiB; likewise the other three.
    """

    name: str
    batch_size: Count
    sampling_batch_size: Count
    full_training: Rate | None = None
    patch_training: Rate | None = None
    sampling: Rate | None = None
    patched_sampling: Rate | None = None
    full_training_memory: Rate | None = None
    patch_training_memory: Rate | None = None
    sampling_memory: Rate | None = None
    patched_sampling_memory: Rate | None = None


class Throughput(Strict):
    """A throughput file: what was measured on one GPU, with one version of the code.

    Attributes:
        gpu: a kind in ``gpus.yaml``, or another name for a device that is not among them.
        device: as the driver names it.
        commit: of this project; ``-dirty`` if files differed from it.
        precision: of training and sampling.
        compiled: whether the backbone went through ``torch.compile``.
        note: what a reader of the numbers should know.
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

    @property
    def conditions(self) -> str:
        """Precision, and whether the backbone was compiled, in words."""
        return f"{self.precision}, {'compiled' if self.compiled else 'not compiled'}"


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


def kind_of(gpus: Gpus, device: str) -> str | None:
    """Return the kind of a device by the driver's name for it; None if it is none of them."""
    return next((kind for kind, gpu in gpus.gpus.items() if device in gpu.devices), None)


def load_throughput(folder: Path) -> dict[str, Throughput]:
    """Read all throughput files of a folder, by name.

    Raises:
        DMPError: one is unreadable or not valid; naming the file, the key and the nearest key.
    """
    paths = (p for p in sorted(folder.glob("*.yaml")) if p.name != GPUS)
    return {path.name: from_data(Throughput, read_yaml(path), str(path)) for path in paths}
