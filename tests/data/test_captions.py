"""Captions through a small text encoder: numbered, told apart, and the same every time."""

import numpy as np
import pytest
import torch

from dmp.backbones.dit import DiT
from dmp.config import TextConfig
from dmp.data.captions import encode, load_captions, save_captions
from dmp.data.registry import NUMERALS, Phrases, dataset_info
from dmp.errors import DMPError
from dmp.tensorfile import save_tensors

CONFIG = TextConfig(hidden_size=32, layers=1, heads=4)


@pytest.fixture(scope="module")
def captions():
    return encode(dataset_info("digits").phrases(), CONFIG)


def test_numbers_lead_to_captions_that_name_their_label(captions):
    for numbers in (captions.train, captions.test):
        for label, row in enumerate(numbers):
            assert all(NUMERALS[label] in captions.texts[number].split() for number in row)
    together = np.concatenate([captions.train.ravel(), captions.test.ravel()])
    assert sorted(together) == list(range(len(captions.texts)))


def test_captions_of_the_test_split_are_never_seen_in_training(captions):
    train, test = (
        {captions.texts[number] for number in numbers.ravel()}
        for numbers in (captions.train, captions.test)
    )
    assert not train & test


def test_unseen_captions_lie_nearest_to_those_of_their_own_label(captions):
    """Otherwise a model could only guess which digit an unseen caption asks for."""
    centres = torch.stack([captions.embeddings[numbers].mean(0) for numbers in captions.train])
    unseen = captions.embeddings[captions.test.ravel()]
    nearest = torch.cdist(unseen, centres).argmin(dim=1).numpy()
    expected = np.repeat(np.arange(len(centres)), captions.test.shape[1])
    assert (nearest == expected).mean() >= 0.9


def test_encoding_is_repeatable_and_moves_no_global_randomness(captions):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    again = encode(dataset_info("digits").phrases(), CONFIG)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(again.embeddings, captions.embeddings)


def test_captions_survive_the_file(captions, tmp_path):
    save_captions(tmp_path / "captions.safetensors", captions)
    read = load_captions(tmp_path / "captions.safetensors")
    assert torch.equal(read.embeddings, captions.embeddings)
    assert np.array_equal(read.test, captions.test)
    assert read.texts == captions.texts
    save_tensors(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {"format": "weights"})
    with pytest.raises(DMPError, match="does not hold captions"):
        load_captions(tmp_path / "other.safetensors")


def test_dit_is_conditioned_on_captions_and_its_null_caption_is_the_empty_one(captions):
    count = len(captions.texts)
    model = DiT(8, 2, 1, 16, 2, 2, num_classes=count, captions=captions.embeddings)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    assert model.null_label == count
    assert not any("embeddings" in name for name in model.state_dict())
    x, t = torch.randn(2, 1, 8, 8, generator=generator), torch.tensor([5, 5])
    x[1] = x[0]
    different = model(x, t, torch.tensor([0, count]))
    assert not torch.allclose(different[0], different[1])
    with pytest.raises(DMPError, match="one each and one for the null caption"):
        DiT(8, 2, 1, 16, 2, 2, num_classes=3, captions=captions.embeddings)


def test_one_caption_of_each_label_for_testing_is_enough(tmp_path):
    every = dataset_info("digits").phrases()
    few = Phrases([c[:2] for c in every.train], [c[:1] for c in every.test])
    found = encode(few, TextConfig(hidden_size=8, layers=1, heads=2))
    save_captions(tmp_path / "captions.safetensors", found)
    assert load_captions(tmp_path / "captions.safetensors").texts == found.texts
