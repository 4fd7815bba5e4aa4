"""Pretrained models by hub name or local folder: their files, where from, and what they are.

Only the listed files are ever looked for, and none of them is a pickle. ``HF_HUB_OFFLINE=1`` and
``HF_HOME`` are honoured, since the hub's own client is asked.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmp.errors import DMPError, one_line
from dmp.finite import check_tensors


def pretrained_folder(name: str, files: Sequence[str], key: str) -> Path:
    """Return the folder that holds a pretrained model's files, downloading them if need be.

    Args:
        name: a local folder, or else a name on the Hugging Face hub.
        key: the key of the configuration that ``name`` comes from, for the message.

    Raises:
        DMPError: a file is unavailable; the message says which files are needed, where they would
            come from, and how to do without a network.
    """
    local = Path(name).expanduser()
    needed = ", ".join(files)
    if local.is_dir():
        missing = [file for file in files if not (local / file).is_file()]
        if missing:
            raise DMPError(
                f"{key} = '{name}': the folder lacks {', '.join(missing)}; needed are {needed}"
            )
        return local
    # Here, since a local folder needs no hub and no second for its import.
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        paths = [Path(hf_hub_download(name, file)) for file in files]
        return paths[0].parent
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise DMPError(
            f"{key} = '{name}' is neither an existing folder nor a public name on the Hugging Face "
            f"hub; give a folder that holds {needed}, or a name such as owner/model"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:  # no network, a full disk, a proxy, ...
        offline = " (offline, since HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
        raise DMPError(
            f"{key} = '{name}': its files are not on this machine and cannot be fetched{offline}. "
            f"Needed are {needed} from https://huggingface.co/{name}. Where there is a network, "
            f"run `hf download {name} {' '.join(files)}` with the same HF_HOME (now "
            f"{constants.HF_HOME}), or put the files into a folder and set {key} to its path. "
            f"The hub's client says: {one_line(error)}"
        ) from error


def read_model_config(folder: Path, kinds: Sequence[str], key: str) -> dict[str, Any]:
    """Return a model's ``config.json``.

    Args:
        kinds: what the model may be, in the words of the file, such as ``AutoencoderKL``.
        key: the key of the configuration, for the message.

    Raises:
        DMPError: the file is not JSON, or describes another kind of model.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DMPError(f"{key}: {path} cannot be read as JSON: {error}") from error
    found = config.get("_class_name") or config.get("model_type")
    if found not in kinds:
        raise DMPError(f"{key}: {path} describes a model of kind {found}, not {kinds[0]}")
    return config


def load_frozen(load: Callable[..., Any], folder: Path, key: str, device: str) -> Any:
    """Return a model in float32 that nothing trains.

    Args:
        load: the library's ``from_pretrained``.
        folder: the model's folder, with its weights as safetensors.
        key: the key of the configuration, for the message.

    Raises:
        DMPError: the weights are damaged, incomplete or not finite.
    """
    try:
        model, info = load(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # the libraries have a dozen ways to say that a file is damaged
        raise DMPError(f"{key}: the model in {folder} cannot be loaded: {error}") from error
    absent = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if absent:  # they would be random
        raise DMPError(
            f"{key}: the weights in {folder} do not fit its config.json: {len(absent)} are missing "
            f"or of another shape, the first is {absent[0]}; fetch the model again"
        )
    model = model.float().to(device).requires_grad_(False).eval()
    check_tensors(model.state_dict(), f"{key}: {folder}", "fetch the model again")
    return model


def model_identity(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a model: its public configuration, and all weights by name.

    A local copy and the hub's original are one model; where it lies is not part of it.
    """
    public = {name: value for name, value in config.items() if not name.startswith("_")}
    digest = hashlib.sha256(json.dumps(public, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu").contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
