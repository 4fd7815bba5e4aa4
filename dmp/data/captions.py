"""Captions of a dataset, through a frozen text encoder, to one pooled embedding each.

A caption is known by its number from here on: all training captions, then those of the test split,
then the empty caption, which is the null condition of guidance.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dmp.config import TextConfig
from dmp.data.registry import Phrases
from dmp.errors import DMPError
from dmp.tensorfile import load_tensors, save_tensors

_FORMAT = "captions"


class Captions(NamedTuple):
    """A dataset's captions.

    Attributes:
        embeddings: ``(n + 1, E)`` float32; the last is that of the empty caption.
        train: ``(classes, k)`` int64, the numbers of each label's captions in training.
        test: ``(classes, m)`` int64, those of the test split, which training never sees.
        texts: the n captions.

    """

    embeddings: Tensor
    train: np.ndarray
    test: np.ndarray
    texts: list[str]


def encode(phrases: Phrases, config: TextConfig) -> Captions:
    """Run all captions through the text encoder, once."""
    texts = [text for split in phrases for captions in split for text in captions]
    ends = np.cumsum([np.size(np.array(split, dtype=object)) for split in phrases])
    numbers = np.split(np.arange(len(texts)), ends[:-1])
    train, test = (n.reshape(len(split), -1) for n, split in zip(numbers, phrases, strict=True))
    return Captions(_embed([*texts, ""], config), train, test, texts)


@torch.no_grad()
def _embed(texts: list[str], config: TextConfig) -> Tensor:
    """Return the means of the encoder's last states over each text's tokens, ``(n, E)``."""
    # Here, since transformers takes a second that no other task has to wait for.
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

    words = sorted({word for text in texts for word in text.split()})
    special = ["[pad]", "[start]", "[end]", "[unknown]"]
    vocabulary = {word: index for index, word in enumerate(special + words)}
    fast = Tokenizer(models.WordLevel(vocabulary, unk_token="[unknown]"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast.post_processor = processors.TemplateProcessing(
        single="[start] $A [end]", special_tokens=[("[start]", 1), ("[end]", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="[pad]", bos_token="[start]", eos_token="[end]"
    )
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    # A seed of its own, so that every baseline and every seed of a scale reads the same text.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(vocabulary),
                hidden_size=config.hidden_size,
                intermediate_size=4 * config.hidden_size,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                max_position_embeddings=inputs["input_ids"].shape[1],
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
            )
        ).eval()
    mask = inputs["attention_mask"]
    states = encoder(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state
    return (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def save_captions(path: Path, captions: Captions) -> None:
    """Write captions and embeddings to one file, atomically."""
    tensors = {
        "embeddings": captions.embeddings,
        "train": torch.from_numpy(captions.train),
        "test": torch.from_numpy(captions.test),
    }
    save_tensors(path, tensors, {"format": _FORMAT, "texts": captions.texts})


def load_captions(path: Path) -> Captions:
    """Read what :func:`save_captions` wrote.

    Raises:
        DMPError: the file is missing, corrupt, or something else.

    """
    tensors, description = load_tensors(path)
    if description.get("format") != _FORMAT:
        raise DMPError(f"{path} does not hold captions: its header says {description!r:.80}")
    return Captions(
        tensors["embeddings"],
        tensors["train"].numpy(),
        tensors["test"].numpy(),
        description["texts"],
    )
