"""Tables and archives of one split, and all of its parts, are read together: no others."""

import odd_formats as odd
import pytest

from dmp.config import SourceConfig
from dmp.data.formats import open_source
from dmp.data.sources.splits import check_files, check_folders
from dmp.errors import DMPError

HASH = "a09b74b3ef9c3b56"

TOGETHER = [
    [f"train-0000{n}-of-00002-{HASH}.parquet" for n in (0, 1)],
    [f"train-0000{n}-of-00002-{n}ef9c3b56a09b74b.parquet" for n in (0, 1)],
    ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
    ["train-00001-of-00002.parquet", "train-00002-of-00002.parquet"],
    ["default/train/0000.parquet", "default/train/0001.parquet"],
    ["default/partial-train/0000.parquet"],
    ["cc3m-train-0000.tar", "cc3m-train-0001.tar"],
    ["train/0.tar", "train/1.tar"],
    ["train_0.tar", "train_1.tar"],
    ["00000.tar", "00001.tar"],
    ["n01440764.tar", "n01443537.tar"],
    ["car.tar", "bus.tar"],
    ["images-00000-of-00001.parquet"],
]


@pytest.mark.parametrize("names", TOGETHER)
def test_parts_of_one_split_are_read_together(tmp_path, names):
    assert check_files(tmp_path, names) == []


APART = {
    "data/test, data/train": [f"data/{s}-00000-of-00001-{HASH}.parquet" for s in ("test", "train")],
    "test, train": ["train.parquet", "test.parquet"],
    "train, validation": ["train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"],
    "train, val": ["train.parquet", "val.parquet"],
    "dev, train": ["train_0.parquet", "dev_0.parquet"],
    "train, valid": ["train-000.tar", "valid-000.tar"],
    "default/test, default/train": ["default/train/0000.parquet", "default/test/0000.parquet"],
    "default/partial-train, default/train": [
        "default/partial-train/0000.parquet",
        "default/train/0000.parquet",
    ],
    "a/train, b/train": ["a/train/0000.parquet", "b/train/0000.parquet"],
    "cc3m-train, cc3m-validation": ["cc3m-train-0000.tar", "cc3m-validation-0000.tar"],
    "test, train ": ["train/x.tar", "test/x.tar"],
    "ILSVRC2012_img_train, ILSVRC2012_img_val": [
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
    ],
    "train2014, val2014": ["train2014.tar", "val2014.tar"],
    "a, b": ["a-00000-of-00001.parquet", "b-00000-of-00001.parquet"],
}


@pytest.mark.parametrize("splits", APART)
def test_several_splits_are_never_merged(tmp_path, splits):
    names = APART[splits]
    if "/x.tar" in names[0]:
        splits = "test/x, train/x"
    with pytest.raises(DMPError, match=f"holds several splits, {splits}: move"):
        check_files(tmp_path, names)


@pytest.mark.parametrize(
    ("names", "file", "problem"),
    [
        (
            ["data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"],
            "data/train",
            "1 of 3 files missing: number 1",
        ),
        (
            ["train-00000-of-00009-abcdef01.parquet"],
            "train",
            "8 of 9 files missing: number 1, 2, 3, 4, 5, ...",
        ),
        (
            ["t-00000-of-00001-aaaaaaa.parquet", "t-00000-of-00001-bbbbbbb.parquet"],
            "t-00000-of-00001-aaaaaaa.parquet",
            "number 0 of 1 is there more than once: t-00000-of-00001-aaaaaaa.parquet, "
            "t-00000-of-00001-bbbbbbb.parquet",
        ),
        (
            ["t-00000-of-00001.parquet", "t-00001-of-00001.parquet"],
            "t-00001-of-00001.parquet",
            "there is no number 1 of 1",
        ),
    ],
)
def test_a_missing_or_doubled_part_is_damage(tmp_path, names, file, problem):
    [finding] = check_files(tmp_path, names)
    assert (finding.severity, finding.file, finding.problem) == ("damage", file, problem)


def test_two_counts_of_one_split_are_both_incomplete(tmp_path):
    names = ["train-00001-of-00002.parquet", "train-00001-of-00003.parquet"]
    problems = [finding.problem for finding in check_files(tmp_path, names)]
    assert problems == ["1 of 2 files missing: number 0", "2 of 3 files missing: number 0, 2"]


def test_files_that_do_not_say_their_split_are_noted(tmp_path):
    names = ["extra.parquet", "train-00000-of-00001.parquet"]
    [finding] = check_files(tmp_path, names)
    assert (finding.severity, finding.file) == ("note", "extra.parquet")
    assert finding.problem == "do not say that they are of train"


def test_one_part_may_be_asked_for_by_itself(tmp_path):
    table = odd.write_table(tmp_path / "train-00001-of-00002.parquet", [1], ["a"])
    config = SourceConfig(format="parquet-images", path=table.name)
    source = open_source(config, tmp_path, "tested")
    assert [finding.problem for finding in source.findings] == [
        "is one of 2 files; the others are not asked for"
    ]
    assert [finding.severity for finding in source.findings] == ["note"]


@pytest.mark.parametrize(
    "folders",
    [("train", "val"), ("Train", "test2017"), ("a/training", "b/test"), ("train_images", "dev")],
)
def test_folders_of_several_splits_are_refused(tmp_path, folders):
    names = [f"{folder}/{n}.png" for folder in folders for n in range(2)]
    with pytest.raises(DMPError, match="holds several splits"):
        check_folders(tmp_path, names)
    check_folders(
        tmp_path, [f"{folder}/0.png" for folder in ("train", "bullet train", "test tube")]
    )
