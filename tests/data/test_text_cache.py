"""The cache of captions: what transformers computes, once per caption, numbered and verified."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import write_clip

from dmp.data import text
from dmp.data.text import TextStore, encode_captions
from dmp.data.textencoder import load_text_encoder
from dmp.errors import DMPError

# "a cat" twice, and one that is longer than CLIP reads: every letter is a token here.
TEXTS = ["a cat", "a dog on a boat", "a cat", "x" * 100, "ein Kätzchen", "two birds"]
DISTINCT = ["a cat", "a dog on a boat", "x" * 100, "ein Kätzchen", "two birds", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture
def copy(folder, tmp_path):
    """An encoder that a test may change."""
    return shutil.copytree(folder, tmp_path / "clip")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_text_encoder(str(folder))


@pytest.fixture(scope="module")
def finished(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("captions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK", 4)
        patch.setattr(text, "BATCH", 3)
        assert encode_captions(folder, TEXTS, encoder, "float32") == DISTINCT
    return folder


@pytest.fixture
def cache(finished, tmp_path):
    """A finished cache that a test may damage."""
    return shutil.copytree(finished, tmp_path / "captions")


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@torch.no_grad()
def test_cache_holds_what_transformers_computes(finished, folder):
    from transformers import AutoTokenizer, CLIPTextModel

    model, tokenizer = CLIPTextModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    store = TextStore(finished)
    for texts in (DISTINCT[:3], DISTINCT[4:]):  # the batches that shards of four were cut into
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        oracle = model(input_ids=tokens["input_ids"])
        numbers = np.array([DISTINCT.index(text) for text in texts])
        assert torch.equal(store.sequence(numbers), oracle.last_hidden_state)
        assert torch.equal(store.pooled(numbers), oracle.pooler_output)


def test_each_caption_is_encoded_once_and_the_empty_one_is_last(finished):
    store = TextStore(finished)
    assert len(store) == len(DISTINCT)
    assert store.null == 5
    assert store.sequence(np.array([0])).shape == (1, 77, store.width)


def test_what_stood_there_is_replaced(encoder, cache):
    assert encode_captions(cache, ["a horse"], encoder) == ["a horse", ""]
    assert len(TextStore(cache)) == 2


def test_a_cache_of_another_encoder_is_refused(cache):
    with pytest.raises(DMPError, match=r"text\.name = 'another/clip'"):
        TextStore(cache, "another/clip")


def test_a_store_goes_to_another_process_as_its_path(finished):
    again = pickle.loads(pickle.dumps(TextStore(finished)))
    assert torch.equal(again.pooled(np.arange(6)), TextStore(finished).pooled(np.arange(6)))


def test_weights_that_are_not_in_the_file_are_never_random(copy):
    weights = load_file(copy / "model.safetensors")
    del weights[sorted(name for name in weights if "final_layer_norm.bias" in name)[0]]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DMPError, match=r"text\.name: .*1 are missing .*final_layer_norm\.bias"):
        load_text_encoder(str(copy))


def test_a_folder_that_lacks_files_and_a_model_of_another_kind_are_refused(copy):
    (copy / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(DMPError, match="describes a model of kind t5, not clip_text_model"):
        load_text_encoder(str(copy))
    (copy / "tokenizer.json").unlink()
    with pytest.raises(DMPError, match=r"lacks tokenizer\.json; needed are config\.json, model"):
        load_text_encoder(str(copy))


def test_offline_error_names_files_and_repository(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DMPError) as caught:
        load_text_encoder("openai/clip-vit-large-patch14")
    for part in ("text.name", "tokenizer.json", "https://huggingface.co/openai/clip-vit-large"):
        assert part in str(caught.value)
