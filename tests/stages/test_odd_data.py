"""What the check of a dataset accepts, every later stage reads; it says what was left out."""

import csv
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import odd_formats as odd
import pytest
import real_formats as real
from harness import ROOT, edit_yaml
from tiny_models import write_autoencoder, write_clip

from dmp.data.captions import load_captions
from dmp.data.manifest import load_manifest
from dmp.files import read_json, write_json
from dmp.stages.check_data import check_data
from dmp.stages.common import Context
from dmp.stages.data import open_checked, split_on_disk, task_data
from dmp.stages.prepare import encode_captions, encode_part, verify_parts
from dmp.studies import load_plan

SOURCES = {
    "unconditional": ("photos", {"format": "folder", "path": "photos", "images": 40}),
    "class-conditional": (
        "kinds",
        {"format": "classes", "path": "kinds", "classes": 2, "images": 40},
    ),
    "text-conditional": (
        "table",
        {"format": "parquet-images", "path": "table", "captions": "text", "images": 40},
    ),
    "stable-diffusion": ("shards", {"format": "webdataset", "path": "shards", "images": 40}),
}


def write_all(data: Path) -> None:
    """Write four datasets of forty images: eight pictures five times each, or twenty twice."""
    photos = real.write_folder(data / "photos", 19)
    odd.latin1(photos, 19)
    for number in range(20):
        image = real.make_image(number)
        (photos / "again").mkdir(exist_ok=True)
        image.save(photos / "again" / f"{number}.bmp")  # other bytes, the same pixels
    kinds = data / "kinds"
    for name in (b"caf\xe9", b"tea"):
        folder = Path(os.fsdecode(os.fsencode(kinds) + b"/" + name))
        odd.write_files(folder, {f"{n}.png": odd.png(n % 10 + len(name) * 10) for n in range(20)})
    for folder in (photos, kinds):
        odd.leave_things(folder)
    for part in (0, 1):
        numbers = [n for n in range(4 * part, 4 * part + 4) for _ in range(5)]
        texts = [[real.caption(n, variant)] for variant, n in enumerate(numbers)]
        odd.write_table(
            data / "table" / f"train-0000{part}-of-00002-a09b74b3.parquet", numbers, texts
        )
    members = {}
    for number in range(40):
        members[f"{number:02d}.png"] = odd.png(number // 5)
        members[f"{number:02d}.mask.png"] = odd.png(number + 50)
        captions = [real.caption(number, variant) for variant in range(2 + number % 3)]
        members[f"{number:02d}.json"] = {"caption": captions}
    odd.write_shard(data / "shards", members)


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The four datasets, checked; what the terminal said of each; and where all is."""
    folder = tmp_path_factory.mktemp("odd")
    write_all(folder / "data")
    write_autoencoder(folder / "autoencoder")
    write_clip(folder / "text-encoder")
    ablations = Path(shutil.copytree(ROOT / "ablations", folder / "ablations"))

    def change(scale: dict) -> None:
        scale["defaults"]["data"]["latents"]["autoencoder"] = str(folder / "autoencoder")
        for task, (name, source) in SOURCES.items():
            scale["tasks"][task]["data"] = {"name": name, "source": {"resolution": 64, **source}}
            if "text" in scale["tasks"][task]:
                scale["tasks"][task]["text"]["name"] = str(folder / "text-encoder")
        scale["tasks"]["unconditional-large"]["data"] = scale["tasks"]["unconditional"]["data"]

    edit_yaml(ablations / "scales/paper-smoke.yaml", change)
    plan = load_plan("paper-smoke", ablations)
    context = Context.open(plan, folder / "results", folder / "data")
    for name, source in plan.sources().items():
        check_data(source, context.data, name, context.layout.manifest(name), 2)
    return context


@pytest.mark.parametrize("task", SOURCES)
def test_no_copy_of_a_held_out_image_is_trained_on(checked, task):
    name = SOURCES[task][0]
    source = open_checked(checked, name)
    assert len(source) == 40
    pictures = [hashlib.sha256(source.image(n).tobytes()).digest() for n in range(40)]
    train, held_out = split_on_disk(checked, name, 0.25)
    assert (len(train), len(held_out)) == (30, 10)
    assert {pictures[n] for n in train}.isdisjoint({pictures[n] for n in held_out})
    manifest = read_json(checked.layout.manifest(name))
    copies = 40 - len(set(pictures))
    assert manifest["duplicates"] == copies
    with checked.layout.manifest(name).with_name("findings.csv").open() as file:
        rows = [row["problem"] for row in csv.DictReader(file)]
    kind = "pixels" if name == "photos" else "bytes"
    assert sum(f"the same {kind} as " in problem for problem in rows) == copies


@pytest.mark.parametrize("task", SOURCES)
def test_what_was_accepted_is_encoded_and_split(checked, task):
    name = SOURCES[task][0]
    for part in (1, 2):
        encode_part(checked, name, part, 2)
    verify_parts(checked, name)
    config = checked.plan.scale.tasks[task]
    if config.text is not None:
        encode_captions(checked, task)
        captions = load_captions(checked.layout.captions(task))
        # The first two of each image's captions in the shards, since one has no more.
        assert captions.train.shape == (30, 1 if name == "table" else 2)
        source, (train, _) = open_checked(checked, name), split_on_disk(checked, name, 0.25)
        for row, number in zip(captions.train, train, strict=True):
            texts = [captions.texts[caption] for caption in row]
            assert texts == source.captions(number)[: len(texts)]
    data = task_data(checked, task, config)
    assert (len(data.train), len(data.held_out.labels)) == (30, 10)
    if task == "class-conditional":
        assert sorted({*data.held_out.labels} | {*data.train.labels}) == [0, 1]


def told(checked, name, capsys):
    config, output = checked.plan.source(name), checked.layout.manifest(name)
    check_data(config, checked.data, name, output.parent / "again" / "manifest.json", 1)
    return capsys.readouterr().out


def test_the_terminal_says_what_was_taken_and_what_was_not(checked, capsys):
    said = told(checked, "photos", capsys)
    assert (
        "dataset 'photos': 40 images are taken; 20 are copies of others, on the same side" in said
    )
    assert "lost+found" not in said  # the first is named, and how many there are
    assert (
        "5 folders, this one first, are hidden or left by another tool (nothing; left out)" in said
    )
    assert "2 links, this one first, lead to folders that are read already" in said
    assert "4 files, this one first, are not images of the dataset by their names" in said
    said = told(checked, "shards", capsys)
    assert "captions: 14 with 2, 13 with 3, 13 with 4" in said
    assert "39 captions of 26 images are not trained on: of each image the first 2 are" in said
    assert "0.tar:00.mask.png: 40 files, this one first, are not images" in said
    said = told(checked, "kinds", capsys)
    assert "40 images are taken; 2 classes; 20 are copies" in said


def test_names_that_are_not_utf8_are_printable(checked):
    manifest = read_json(checked.layout.manifest("kinds"))
    assert manifest["classes"] == ["caf\\udce9", "tea"]
    config = checked.plan.source("kinds")
    load_manifest(checked.layout.manifest("kinds"), config, "kinds")


def test_a_manifest_without_copies_splits_as_it_did(checked):
    path, name = checked.layout.manifest("table"), "table"
    kept = read_json(path)
    try:
        write_json(path, {key: value for key, value in kept.items() if key != "copies"})
        train, held_out = split_on_disk(checked, name, 0.25)
    finally:
        write_json(path, kept)
    assert not np.array_equal(held_out, split_on_disk(checked, name, 0.25)[1])
    assert sorted([*train, *held_out]) == list(range(40))
