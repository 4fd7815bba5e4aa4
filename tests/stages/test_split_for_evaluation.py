"""What is evaluated on is nothing that is trained on, even where a dataset has a split for it."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import odd_formats as odd
import pytest
from harness import ROOT, edit_yaml
from typer.testing import CliRunner

import dmp.stages.prepare as prepare
from dmp.cli import app
from dmp.data.manifest import PICTURES
from dmp.errors import DMPError
from dmp.files import read_json
from dmp.stages.common import Context
from dmp.stages.data import also_trained_on
from dmp.studies import load_plan
from dmp.workflow.inputs import Inputs
from dmp.workflow.scales import Scales
from dmp.workflow.settings import Settings

SCALE = "paper-smoke"


@pytest.fixture
def place(tmp_path) -> Path:
    """A folder with eight images to train on; of six others for evaluation two are among them."""
    write_table(tmp_path, "train", range(8))
    write_table(tmp_path, "val", [20, 3, 21, 22, 7, 23])
    ablations = Path(shutil.copytree(ROOT / "ablations", tmp_path / "ablations"))

    def change(scale: dict) -> None:
        source = {"format": "parquet-images", "captions": "text", "resolution": 64}
        data = {"name": "photos", "source": {**source, "path": "train"}}
        data["test"] = {**source, "path": "val"}
        scale["tasks"]["text-conditional"]["data"] = data
        scale["tasks"]["text-conditional"]["evaluation"] = {"reference": "test"}

    edit_yaml(ablations / f"scales/{SCALE}.yaml", change)
    return tmp_path


def write_table(place: Path, split: str, numbers) -> None:
    odd.write_table(
        place / "data" / split / "0.parquet", [*numbers], [f"picture {n}" for n in numbers]
    )


def check(place: Path, name: str) -> str:
    """Return what the command says, which has to end well."""
    folders = [f"--{each}={place / each}" for each in ("results", "ablations", "data")]
    found = CliRunner().invoke(app, ["check-data", name, f"--scale={SCALE}", *folders])
    if found.exception is not None:
        raise found.exception
    return found.output


def context(place: Path) -> Context:
    plan = load_plan(SCALE, place / "ablations")
    return Context.open(plan, place / "results", place / "data")


def test_images_that_are_trained_on_are_left_out_of_evaluation(place, monkeypatch):
    with pytest.raises(DMPError, match="check dataset 'photos' first"):
        check(place, "photos-test")
    check(place, "photos")
    assert "6 images are taken; captions: 6 with 1; 2 are trained on, and left out of eval" in (
        check(place, "photos-test")
    )
    opened = context(place)
    path = opened.layout.manifest("photos-test")
    assert read_json(path)["shared"] == [1, 4]
    with path.with_name("findings.csv").open() as file:
        found = {row["file"]: row["problem"] for row in csv.DictReader(file)}
    assert found == {
        f"0.parquet:0000000{n}": "'photos', which is trained on, has the same picture"
        for n in (1, 4)
    }
    task = opened.plan.scale.tasks["text-conditional"]
    (real,) = prepare._real_images(opened, task)
    assert len(real) == 4
    asked = []
    monkeypatch.setattr(prepare, "load_text_encoder", lambda *_: None)

    def encode(_, texts, __):
        asked.append(texts[8:])
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "encode_clip", encode)
    with pytest.raises(KeyboardInterrupt):
        prepare.encode_captions(opened, "text-conditional")
    assert asked == [["picture 20", "picture 21", "picture 22", "picture 23"]]


def test_a_smaller_set_of_evaluation_images_is_part_of_a_larger_one():
    few, many = (prepare.evaluation_images(9, most, [2, 5]) for most in (3, 9))
    assert many.tolist() == [0, 1, 3, 4, 6, 7, 8]
    assert set(few) < set(many)
    assert np.array_equal(prepare.evaluation_images(9, 4, []), prepare.evaluation_images(9, 4))


def test_a_split_for_evaluation_that_is_all_trained_on_is_refused(place):
    write_table(place, "val", [3, 7])
    check(place, "photos")
    with pytest.raises(DMPError, match="'photos', which is trained on, has all 2 images"):
        check(place, "photos-test")


def test_what_was_compared_with_other_images_is_not_used(place):
    check(place, "photos")
    check(place, "photos-test")
    data = context(place).plan.scale.tasks["text-conditional"].data
    assert also_trained_on(context(place), data) == [1, 4]
    write_table(place, "train", [*range(7), 20])
    check(place, "photos")
    with pytest.raises(DMPError, match="'photos' has changed since 'photos-test' was compared"):
        also_trained_on(context(place), data)
    check(place, "photos-test")
    assert also_trained_on(context(place), data) == [0, 1]


def test_a_dataset_that_an_earlier_version_has_checked_is_not_compared_and_that_is_said(place):
    check(place, "photos")
    pictures = context(place).layout.manifest("photos").with_name(PICTURES)
    whole = pictures.read_bytes()
    pictures.unlink()
    assert re.search(r"not compared with 'photos'.*check both again", check(place, "photos-test"))
    opened = context(place)
    assert also_trained_on(opened, opened.plan.scale.tasks["text-conditional"].data) == []
    pictures.write_bytes(whole[:-200])
    with pytest.raises(DMPError, match=r"pictures.npz is truncated.*check dataset 'photos' again"):
        check(place, "photos-test")


def test_the_workflow_checks_the_dataset_that_is_trained_on_first():
    settings = Settings(scale="paper", results=Path("r"), ablations=ROOT / "ablations")
    inputs = Inputs(Scales(settings))
    assert inputs.trained_on("paper", "coco-test") == [Path("r/paper/data/coco/manifest.json")]
    assert inputs.trained_on("paper", "coco") == inputs.trained_on("paper", "ffhq") == []
