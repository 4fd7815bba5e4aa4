"""Captions of a dataset, through a frozen text encoder, to one pooled embedding each.

A caption is known by its number from here on: all training captions, then those of the test split,
then the empty caption, which is the null condition of guidance.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dmp.config import TextConfig
from dmp.data.registry import Phrases
from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, understood
from dmp.initialisation import normal_
from dmp.rng import generator
from dmp.tensorfile import load_tensors, save_tensors

STEPS = 100
LONGEST = 16  # tokens of a caption
STANDARD_DEVIATION = 0.02  # of initial weights, as in CLIP and its kin

_FORMAT = "captions"


class Captions(NamedTuple):
    """A dataset's captions.

    Attributes:
        embeddings: ``(n + 1, E)`` float32; the last is that of the empty caption.
        train: ``(classes, k)`` int64, the numbers of each label's captions in training.
        test: ``(classes, m)`` int64, those of the test split, which training never sees.
        order: ``(k,)`` int64, the numbers of the captions that samples go through in turn.
        texts: the n captions.
    """

    embeddings: Tensor
    train: np.ndarray
    test: np.ndarray
    order: np.ndarray
    texts: list[str]


def encode(phrases: Phrases, config: TextConfig) -> Captions:
    """Run all captions through the text encoder, once.

    The encoder is first taught to tell the classes of the training captions apart, as a published
    one has been taught by other captions: from random weights alone, phrasing would count for more
    than meaning, and captions in other words would be noise. It never sees a test caption.
    """
    texts = [text for split in phrases for captions in split for text in captions]
    ends = np.cumsum([sum(map(len, split)) for split in phrases])
    numbers = np.split(np.arange(len(texts)), ends[:-1])
    train, test = (n.reshape(len(split), -1) for n, split in zip(numbers, phrases, strict=True))
    # torch draws weights that are then replaced.
    with torch.random.fork_rng(devices=[]):
        encoder = _Encoder(texts[: train.size], config)
        encoder.learn(texts[: train.size], np.repeat(np.arange(len(train)), train.shape[1]))
    with torch.no_grad():
        # By phrasing, so that consecutive samples differ in class.
        return Captions(encoder([*texts, ""]), train, test, test.T.flatten(), texts)


class _Encoder(nn.Module):
    """A small CLIP text encoder with a tokenizer over the words of its own captions."""

    def __init__(self, texts: list[str], config: TextConfig) -> None:
        super().__init__()
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
        self._tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=fast, pad_token="[pad]", bos_token="[start]", eos_token="[end]"
        )
        self._length = LONGEST
        self.text_model = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(vocabulary),
                hidden_size=config.hidden_size,
                intermediate_size=4 * config.hidden_size,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                max_position_embeddings=self._length,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
            )
        )
        # A seed of its own, so that every baseline and every seed of a scale reads the same text.
        _initialise(self, "text encoder")

    def forward(self, texts: list[str]) -> Tensor:
        """Return ``(n, E)``, the mean of the last states over each text's tokens."""
        inputs = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._length, return_tensors="pt"
        )
        mask = inputs["attention_mask"]
        states = self.text_model(
            input_ids=inputs["input_ids"], attention_mask=mask
        ).last_hidden_state
        return (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)

    def learn(self, texts: list[str], labels: np.ndarray) -> None:
        """Learn to tell the classes of captions apart, by a linear layer that is then dropped."""
        target = torch.from_numpy(labels)
        head = nn.Linear(self.text_model.config.hidden_size, int(labels.max()) + 1)
        _initialise(head, "text encoder's head")
        # Fused: the other forms take torch.sqrt, whose last bit differs between processors.
        parameters = [*self.parameters(), *head.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
        for _ in range(STEPS):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(head(self(texts)), target).backward()
            optimizer.step()


def _initialise(module: nn.Module, purpose: str) -> None:
    """Draw the weights of linear layers and embeddings; norms stay as they are, biases at 0."""
    source = generator(0, purpose)
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Embedding):
            normal_(layer.weight, STANDARD_DEVIATION, source)
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)


def save_captions(path: Path, captions: Captions) -> None:
    """Write captions and embeddings to one file, atomically."""
    tensors = {
        "embeddings": captions.embeddings,
        "train": torch.from_numpy(captions.train),
        "test": torch.from_numpy(captions.test),
        "order": torch.from_numpy(captions.order),
    }
    save_tensors(path, tensors, {"format": _FORMAT, "texts": captions.texts})


def load_captions(path: Path) -> Captions:
    """Read what :func:`save_captions` wrote.

    Raises:
        DMPError: the file is missing, corrupt, or something else.
    """
    tensors, description = load_tensors(path, STAGE_OUTPUT)
    if description.get("format") != _FORMAT:
        raise DMPError(f"{path} does not hold captions: its header says {description!r:.80}")
    with understood(path):
        return Captions(
            tensors["embeddings"],
            tensors["train"].numpy(),
            tensors["test"].numpy(),
            tensors["order"].numpy(),
            description["texts"],
        )
