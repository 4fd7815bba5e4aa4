"""An adapter of peft at work on a backbone."""

import math
import shutil
import tempfile
from pathlib import Path

import peft
from torch import Tensor, nn

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.files import atomic_path, read_json, write_json
from dmp.initialisation import uniform_
from dmp.methods.attached import Attached
from dmp.patching import patch, patch_points
from dmp.rng import generator
from dmp.temporaries import temporary_path


def linear_layers(backbone: nn.Module, targets: str) -> dict[str, nn.Linear]:
    """Return the linear layers of a backbone's blocks, by their names in the backbone.

    Args:
        backbone: any that :func:`dmp.patching.patch_points` knows.
        targets: ``attention``, those of each block's attention; ``all-linear``, all of them.
    """
    blocks = patch_points(backbone).blocks("transformer-blocks")
    inside: set[nn.Module] = set()
    for block in blocks:
        root = block.module if targets == "all-linear" else block.attention
        if root is None:
            raise DMPError("targets = attention: a block's attention cannot be reached; accepted: "
                           "all-linear")  # fmt: skip
        inside.update(root.modules())
    named = backbone.named_modules()
    return {name: m for name, m in named if isinstance(m, nn.Linear) and m in inside}


def dmp_parameters(backbone: nn.Module) -> int:
    """Return how many parameters the paper's method has on a backbone, which stays as it is."""
    attached = patch(backbone, PatchConfig())
    count = sum(parameter.numel() for parameter in attached.parameters())
    attached.remove()
    return count


class AttachedAdapter(Attached):
    """An adapter of peft in a frozen backbone; it changes nothing until it has trained."""

    def __init__(self, backbone: nn.Module, config: peft.PeftConfig, seed: int) -> None:
        super().__init__(backbone)
        # The backbone is changed in place and goes on to be called itself.
        self._peft = peft.get_peft_model(backbone, config)
        # What peft drew from torch's generator is drawn anew: as peft does, from our own stream.
        source = generator(seed, "adapter initialisation")
        for name, parameter in backbone.named_parameters():
            if ".lora_A." in name and parameter.device.type != "meta":
                uniform_(parameter, 1 / math.sqrt(parameter.shape[1]), source)

    def tensors(self) -> dict[str, Tensor]:
        """Return the adapter's tensors, under the names that peft gives them in its files."""
        return peft.get_peft_model_state_dict(self._peft)

    def save(self, path: Path, identity: str) -> None:
        """Write the adapter, and beside it a folder ``<name>.peft`` from which peft loads it."""
        super().save(path, identity)
        name = f"{temporary_path(path).name}."
        with tempfile.TemporaryDirectory(prefix=name, dir=path.parent) as temporary:
            self._peft.save_pretrained(temporary)
            folder, found = path.with_suffix(".peft"), Path(temporary)
            # Sets are in another order in each process.
            config = read_json(found / "adapter_config.json")
            alphabetical = {k: sorted(v) if isinstance(v, list) else v for k, v in config.items()}
            write_json(folder / "adapter_config.json", alphabetical)
            with atomic_path(folder / "adapter_model.safetensors") as final:
                shutil.copyfile(found / "adapter_model.safetensors", final)

    def restore(self, path: Path) -> "AttachedAdapter":
        """Set the adapter to what :meth:`save` wrote.

        Raises:
            DMPError: as :meth:`read`.
        """
        peft.set_peft_model_state_dict(self._peft, self.read(path))
        return self
