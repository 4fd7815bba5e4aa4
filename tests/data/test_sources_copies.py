"""What is held out is never trained on, copies of it included; without copies nothing changes."""

import hashlib

import numpy as np
import pytest

from dmp.config import DataConfig
from dmp.data import registry
from dmp.data.images import held_out_split, load_extractor_split, load_split
from dmp.data.registry import Images, dataset, dataset_info


def digest(rows: np.ndarray) -> str:
    return hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()[:16]


def crossing(kept, out, copies):
    return [numbers for numbers in copies if {*numbers} & {*kept} and {*numbers} & {*out}]


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [
        (1797, 0.2, "8299597d71591225 e1a38537d8ebaea0"),
        (5000, 0.2, "54c4b26fefbb85a6 0894695966574296"),
    ],
)
def test_without_copies_the_split_is_what_it_was(count, share, expected):
    assert " ".join(map(digest, held_out_split(count, share))) == expected


@pytest.mark.parametrize("name", ["digits", "mnist5k"])
def test_the_embedded_datasets_have_no_copies(name):
    images = dataset_info(name).load().images
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    "copies",
    {
        "pairs": [[n, n + 50] for n in range(50)],
        "five of each": [[n + 20 * k for k in range(5)] for n in range(20)],
        "a few": [[3, 99], [7, 8, 9]],
        "a placeholder": [list(range(0, 100, 2))],
        "two alike": [list(range(50)), list(range(50, 100))],
    }.values(),
)
def test_copies_stay_on_one_side(share, copies):
    kept, out = held_out_split(100, share, copies)
    assert sorted([*kept, *out]) == list(range(100))
    assert crossing(kept, out, copies) == []
    assert len(kept) > 0
    assert len(out) > 0
    order = held_out_split(100, 0.5)
    place = {n: i for i, n in enumerate([*order[1], *order[0]])}
    for side in (kept, out):
        assert [place[n] for n in side] == sorted(place[n] for n in side), "in the order of before"


def test_few_copies_hold_exactly_as_many_out():
    for share in (0.02, 0.1, 0.25):
        _, out = held_out_split(1000, share, [[3, 99], [7, 8, 9], list(range(100, 400))])
        assert len(out) == 1000 * share


def test_copies_of_one_image_alone_leave_nothing_to_part():
    plain, split = held_out_split(10, 0.2), held_out_split(10, 0.2, [list(range(10))])
    assert all(np.array_equal(a, b) for a, b in zip(plain, split, strict=True))


def test_copies_in_an_embedded_dataset_are_in_one_part(monkeypatch):
    monkeypatch.setattr(registry, "DATASETS", dict(registry.DATASETS))

    @dataset("pairs", image_size=2, channels=1, classes=1, flip=True)
    def pairs() -> Images:
        values = (np.arange(60) % 30).astype(np.uint8)
        return Images(np.tile(values[:, None, None, None], (1, 1, 2, 2)), np.zeros(60, np.int64))

    config = DataConfig(name="pairs", held_out=0.2, extractor=0.3)
    train, held_out = load_split(config)
    parts = [{*part.images[:, 0, 0, 0]} for part in (train, held_out, load_extractor_split(config))]
    assert [len(part) for part in parts] == [15, 6, 9]
    assert len(set.union(*parts)) == 30
