"""A pretrained CLIP text encoder, checked and frozen."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dmp.data.offline import load_frozen, model_identity, pretrained_folder, read_model_config
from dmp.errors import DMPError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
KEY = "text.name"


class TextEncoder:
    """A frozen CLIPTextModel with its tokenizer, in float32.

    Attributes:
        name: as it was asked for.
        identity: SHA-256 over tokenizer, configuration and weights.
        length: tokens of a sequence; 77 in CLIP.
        width: E.
    """

    def __init__(
        self, model: Any, tokenizer: "PreTrainedTokenizerBase", name: str, identity: str
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self.name, self.identity = name, identity
        self.length: int = model.config.max_position_embeddings
        self.width: int = model.config.hidden_size

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the last states ``(B, 77, E)`` and the pooled one ``(B, E)``, float32 on the CPU.

        Texts are padded to the full length, and cut where they are longer, as CLIP was trained.
        """
        how = {"padding": "max_length", "truncation": True, "max_length": self.length}
        inputs = self._tokenizer(list(texts), return_tensors="pt", **how)
        output = self._model(input_ids=inputs["input_ids"].to(self._model.device))
        return output.last_hidden_state.cpu(), output.pooler_output.cpu()


def load_text_encoder(name: str, device: str = "cpu") -> TextEncoder:
    """Load a CLIP text encoder by hub name or from a local folder; safetensors only.

    Args:
        name: such as ``openai/clip-vit-large-patch14``; the folder may hold all of CLIP or its
            text model alone.

    Raises:
        DMPError: its files are unavailable, damaged or incomplete, or it is not a CLIP.
    """
    folder = pretrained_folder(name, FILES, KEY)
    described = read_model_config(folder, ["clip_text_model", "clip"], KEY)
    # Here, since transformers takes seconds that a wrong folder should not wait for.
    from transformers import (
        CLIPTextModel,
        CLIPTokenizerFast,  # ty: ignore[missing-module-member]  # the library loads it lazily
    )
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = load_frozen(CLIPTextModel.from_pretrained, folder, KEY, device)
    try:
        tokenizer = CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library has a dozen ways to say that a file is damaged
        raise DMPError(f"{KEY}: the tokenizer in {folder} cannot be loaded: {error}") from error
    words = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    # Of the configuration what is the text model's: the rest does not bear on a caption.
    text = described.get("text_config") or described
    identity = model_identity({**text, "tokenizer": words}, model.state_dict())
    return TextEncoder(model, tokenizer, name, identity)
