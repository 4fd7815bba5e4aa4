"""Which backbones are checked, and on what: their sizes, batches of noise, weights at random."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dmp.backbones import SIZES, DiT
from dmp.config import nearest
from dmp.data.noise import standard_normal
from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.methods import find_method
from dmp.methods.attached import Attached
from dmp.methods.patched import AttachedPatch
from dmp.planning.throughput import Sizes
from dmp.studies.schema import Scale
from dmp.training import Objective

TIMESTEPS = 1000
TOY_BATCH, TOY_EDGE, TOY_HEAD = 4, 8, 16
# Of trained prompts, about: zeros would be a case of their own, in which nothing is added.
PROMPTS = 0.05


@dataclass(frozen=True)
class Model:
    """A backbone to be checked.

    Attributes:
        sizes: of the backbone, which is built without its condition.
        batch_size: images of a training step.
        sampling_batch_size: images of a network evaluation.
    """

    sizes: Sizes
    batch_size: int
    sampling_batch_size: int

    @property
    def name(self) -> str:
        """``DiT-B/2`` and its kin, with the input where it is not that of 256×256 latents."""
        sizes, names = self.sizes, {tuple(size): name for name, size in SIZES.items()}
        blocks = f"{sizes.depth}x{sizes.hidden_size}"
        known = names.get((sizes.depth, sizes.hidden_size, sizes.num_heads), blocks)
        edge, channels = sizes.input_size, sizes.channels
        at = "" if (edge, channels) == (32, 4) else f" at {edge}x{edge}x{channels}"
        return f"DiT-{known}/{sizes.patch_size}{at}"

    def toy(self) -> "Model":
        """Return a model of its kind that a CPU trains in milliseconds."""
        sizes, width = self.sizes, max(1, self.sizes.hidden_size // 384) * TOY_HEAD
        small = {"input_size": TOY_EDGE, "patch_size": 2, "depth": max(2, sizes.depth // 9)}
        small |= {"hidden_size": width, "num_heads": width // TOY_HEAD}
        return Model(sizes.model_copy(update=small), TOY_BATCH, TOY_BATCH)

    def build(self, device: str) -> DiT:
        """Return the backbone with weights at random, none of them zero, the same each time."""
        torch.manual_seed(0)
        with torch.device(device):
            backbone = self.sizes.dit()
        with torch.no_grad():
            backbone.pos_embed.copy_(backbone.positions())
        return backbone

    def batch(self, count: int, device: str) -> Batch:
        """Return ``count`` training examples of noise."""
        shape = (self.sizes.channels, self.sizes.input_size, self.sizes.input_size)
        images = standard_normal(0, "throughput", range(count), shape).to(device)
        labels = torch.zeros(count, dtype=torch.int64, device=device)
        timesteps = torch.arange(count, device=device) * (TIMESTEPS - 1) // count
        return Batch(images, labels, timesteps, images.flip(0))


def models(scale: Scale, tasks: list[str] | None, batch_size: int | None, toy: bool) -> list[Model]:
    """Return the backbones of a scale's tasks; of its smallest and its largest if none is named.

    Args:
        batch_size: of training, in place of each task's own.
        toy: whether each is replaced by a small one.

    Raises:
        DMPError: an unknown task, or one whose backbone is not a DiT; or no task has a DiT.
    """
    found: dict[str, Model] = {}
    for name in tasks or scale.tasks:
        if name not in scale.tasks:
            raise DMPError(f"unknown task '{name}': {nearest(name, scale.tasks)}")
        task = scale.tasks[name]
        sizes = Sizes.of(task)
        if sizes is None:
            if tasks:
                raise DMPError(f"task '{name}' is not measured: its backbone is not a DiT")
            continue
        size = batch_size or task.training.batch_size
        model = Model(sizes, size, scale.execution.at_once(name))
        model = model.toy() if toy else model
        found.setdefault(model.name, model)
    if not found:
        raise DMPError(f"scale '{scale.name}' has no task with a DiT, and nothing else is measured")
    ordered = sorted(found.values(), key=lambda model: model.sizes.depth * model.sizes.hidden_size)
    return ordered if tasks else list(dict.fromkeys([ordered[0], ordered[-1]]))


def attach(backbone: DiT, name: str) -> Attached:
    """Attach a method with its default options; prompts begin at random values, not at zero."""
    method = find_method(name)
    attached = method.attach(backbone, method.options(), seed=0)
    if isinstance(attached, AttachedPatch):
        with torch.no_grad():
            for prompts in attached.module.prompt_parameters():
                torch.nn.init.normal_(prompts, std=PROMPTS)
    return attached


def objective(backbone: DiT, attached: Attached) -> Objective:
    """Return what is minimised: noise and variance, with the linear schedule."""
    return Objective(backbone, Diffusion("linear", TIMESTEPS), attached)


def autocast(device: str, enabled: bool) -> torch.autocast:
    """Return the context of training and sampling in bf16."""
    return torch.autocast(device, torch.bfloat16, enabled=enabled)


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Return ``‖found - expected‖ / ‖expected‖``."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    return float(torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected))
