"""Captions through a pretrained CLIP text encoder, each distinct caption once, kept on disk.

A caption is known by its number in the cache: distinct captions in the order of their first
appearance, and last the empty caption, which is the null condition of guidance.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from dmp.data.offline import check_loading, model_identity, pretrained_folder, read_model_config
from dmp.data.shards import Row, Shards, open_shards
from dmp.errors import DMPError
from dmp.files import atomic_path
from dmp.finite import check_tensors

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
HASHES = "captions.npy"
SHARD = 4096  # captions per shard
_KEY = "text.encoder"


class TextEncoder:
    """A frozen CLIPTextModel with its tokenizer, in float32.

    Attributes:
        identity: SHA-256 over tokenizer, configuration and weights.
        name: as it was asked for.
        length: tokens of a sequence; 77 in CLIP.
        width: E.

    """

    def __init__(self, model: nn.Module, tokenizer, name: str, identity: str) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._device = next(model.parameters()).device
        self.name, self.identity = name, identity
        self.length: int = model.config.max_position_embeddings
        self.width: int = model.config.hidden_size

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the last states ``(B, 77, E)`` and the pooled one ``(B, E)``, float32 on the CPU.

        Texts are padded to the full length, and cut where they are longer, as CLIP was trained.
        """
        inputs = self._tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.length,
            return_tensors="pt",
        )
        output = self._model(input_ids=inputs["input_ids"].to(self._device))
        return output.last_hidden_state.cpu(), output.pooler_output.cpu()

    def too_long(self, texts: Sequence[str]) -> int:
        """Return how many texts are cut."""
        tokens = self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        return sum(len(ids) > self.length for ids in tokens)


def load_text_encoder(name: str, device: str = "cpu") -> TextEncoder:
    """Load a CLIP text encoder by hub name or from a local folder; safetensors only.

    Args:
        name: such as ``openai/clip-vit-large-patch14``; the folder may hold all of CLIP or its
            text model alone.
        device: where to compute.

    Raises:
        DMPError: its files cannot be had, are damaged or incomplete, it is no CLIP, or it has
            weights that are not finite.

    """
    folder = pretrained_folder(name, FILES, _KEY)
    described = read_model_config(folder, ["clip_text_model", "clip"], _KEY)
    # Here, since transformers takes seconds that a wrong folder should not wait for.
    from transformers import CLIPTextModel, CLIPTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        tokenizer = CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
        model, info = CLIPTextModel.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # the library has a dozen ways to say that a file is damaged
        raise DMPError(f"{_KEY}: the model in {folder} cannot be loaded: {error}") from error
    check_loading(info, folder, _KEY)
    model = model.float().to(device).requires_grad_(False).eval()
    check_tensors(model.state_dict(), f"{_KEY}: {folder / FILES[1]}", "fetch the model again")
    words = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    # Of the configuration what is the text model's: the rest does not bear on a caption.
    text = described.get("text_config") or described
    identity = model_identity({**text, "tokenizer": words}, model.state_dict())
    return TextEncoder(model, tokenizer, name, identity)


def encode_captions(
    folder: Path,
    texts: Iterable[str],
    encoder: TextEncoder,
    *,
    dtype: str = "float16",
    batch_size: int = 256,
    shard_size: int = SHARD,
    job: int = 0,
    jobs: int = 1,
) -> None:
    """Encode the distinct captions among ``texts``, and the empty one, that are not there yet.

    Args:
        folder: of the cache.
        texts: captions, repeated or not.
        encoder: encodes them.
        dtype: of the cached states.
        batch_size: captions encoded at once.
        shard_size: captions per file.
        job: which of the jobs this is.
        jobs: among how many the shards are dealt out.

    Raises:
        DMPError: the folder holds a cache of something else, or cannot be written.

    """
    unique = _distinct(texts)
    shards = _shards(folder, unique, encoder, dtype, shard_size)
    for number in tqdm(range(job, len(shards), jobs), desc="captions", unit="shard"):
        rows = shards.rows(number)
        part = unique[rows.start : rows.stop]
        if not shards.is_done(number, _inputs(part)):
            batches = _batches(part, encoder, batch_size)
            notes = {"truncated": encoder.too_long(part), "batch_size": batch_size}
            shards.write(number, _inputs(part), batches, lambda notes=notes: notes)


def index_captions(
    folder: Path,
    texts: Iterable[str],
    encoder: TextEncoder,
    *,
    dtype: str = "float16",
    shard_size: int = SHARD,
) -> None:
    """Verify all shards, then write the captions' hashes and the index: the cache is complete.

    Arguments as for :func:`encode_captions`.

    Raises:
        DMPError: a shard is missing, damaged, not finite, or made by something else.

    """
    unique = _distinct(texts)
    shards = _shards(folder, unique, encoder, dtype, shard_size)
    hashes = np.stack([_hash(text) for text in unique])
    with atomic_path(folder / HASHES) as temporary:
        np.save(temporary, hashes)

    def inputs(number: int) -> str:
        rows = shards.rows(number)
        return _inputs(unique[rows.start : rows.stop])

    shards.seal(
        inputs,
        lambda records: {"truncated": sum(record["truncated"] for record in records)},
        encoder=encoder.name,
        captions=hashlib.sha256(hashes.tobytes()).hexdigest(),
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    unique = dict.fromkeys(texts)
    unique.pop("", None)
    return [*unique, ""]


def _hash(text: str) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)


def _inputs(texts: Sequence[str]) -> str:
    return hashlib.sha256(b"".join(_hash(text).tobytes() for text in texts)).hexdigest()


def _shards(
    folder: Path, unique: Sequence[str], encoder: TextEncoder, dtype: str, size: int
) -> Shards:
    identity = {"format": "captions", "encoder": encoder.identity, "dtype": dtype}
    arrays = {
        "sequence": Row((encoder.length, encoder.width), dtype),
        "pooled": Row((encoder.width,), dtype),
    }
    return Shards(folder, identity, arrays, len(unique), size)


def _batches(
    texts: Sequence[str], encoder: TextEncoder, size: int
) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(texts), size):
        sequence, pooled = encoder.encode(texts[start : start + size])
        yield {"sequence": sequence.numpy(), "pooled": pooled.numpy()}


class TextStore:
    """The states of encoded captions, memory-mapped.

    Can be handed to another process, which opens the files for itself.

    Args:
        folder: of the cache.
        encoder: the name of the encoder that it must have been made with; None for any.

    Attributes:
        width: E.
        identity: of the encoder, as :class:`TextEncoder` has it.
        truncated: how many captions were longer than the encoder reads.
        null: the number of the empty caption, which is the last.

    Raises:
        DMPError: the cache is not finished, damaged, or was made by another encoder.

    """

    def __init__(self, folder: Path, encoder: str | None = None) -> None:
        self._folder, self._encoder = folder, encoder
        index, arrays = open_shards(folder)
        where = folder / "index.json"
        if index["identity"].get("format") != "captions":
            raise DMPError(f"{where} is not the index of captions")
        if encoder not in (None, index["encoder"]):
            raise DMPError(
                f"{_KEY} = {encoder!r}, but {where} was made with {index['encoder']!r}; encode "
                f"the captions again, into another folder"
            )
        self._sequence, self._pooled = arrays["sequence"], arrays["pooled"]
        self.width: int = self._pooled.shape[0]
        self.identity: str = index["identity"]["encoder"]
        self.truncated: int = index["truncated"]
        self.null = len(self) - 1
        self._numbers = _read_hashes(folder / HASHES, index["captions"])

    def __len__(self) -> int:
        return len(self._pooled)

    def __reduce__(self) -> tuple:
        return TextStore, (self._folder, self._encoder)

    def numbers(self, texts: Iterable[str]) -> np.ndarray:
        """Return the numbers of captions: ``(n,)`` int64.

        Raises:
            DMPError: a caption has not been encoded.

        """
        found = []
        for text in texts:
            number = self._numbers.get(_hash(text).tobytes())
            if number is None:
                raise DMPError(
                    f"{self._folder} does not hold the caption {text!r:.80}; encode the captions "
                    f"again"
                )
            found.append(number)
        return np.array(found, np.int64)

    def pooled(self, numbers: np.ndarray) -> Tensor:
        """Return the pooled states ``(n, E)`` float32 of captions by number."""
        return torch.from_numpy(self._pooled.take(numbers)).float()

    def sequence(self, numbers: np.ndarray) -> Tensor:
        """Return the states of all tokens, ``(n, 77, E)`` float32, of captions by number."""
        return torch.from_numpy(self._sequence.take(numbers)).float()


def _read_hashes(path: Path, expected: str) -> dict[bytes, int]:
    try:
        hashes = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DMPError(
            f"{path} is missing, truncated or corrupt ({error}); index the captions again"
        ) from error
    if hashlib.sha256(hashes.tobytes()).hexdigest() != expected:
        raise DMPError(f"{path} does not match its hash in index.json; index the captions again")
    return {row.tobytes(): number for number, row in enumerate(hashes)}
