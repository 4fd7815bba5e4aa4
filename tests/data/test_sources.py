"""Every format gives the same images, labels and captions, in the order of their names."""

import json
import pickle
import random
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import real_formats as real

from dmp.config import DataConfig, LatentsConfig, SourceConfig
from dmp.data.formats import captions_per_image, check_sources, format_names, open_source
from dmp.data.sources.base import Source
from dmp.errors import DMPError
from dmp.stages.prepare import evaluation_images, one_caption_each

COCO = {"path": "coco/train2014", "captions": "annotations/captions_train2014.json"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of all data, with one small dataset in each format."""
    root = tmp_path_factory.mktemp("data")
    real.write_folder(root / "folder", 5)
    real.write_zip(root / "zip" / "ffhq.zip", 5)
    real.write_classes(root / "classes")
    real.write_tars(root / "tars")
    real.write_tars(root / "nested", nested=True)
    real.write_coco(root / "coco", 5)
    real.write_webdataset(root / "webdataset", 5)
    real.write_parquet_images(root / "parquet-images", list(range(5)))
    return root


def opened(root, kind, **options):
    config = SourceConfig(**{"format": kind, "path": kind, **options})
    return open_source(config, root, "tested")


ALL = {
    "folder": {},
    "zip": {"kind": "folder", "path": "zip/ffhq.zip"},
    "classes": {},
    "tars": {},
    "nested": {"kind": "tars", "path": "nested/ILSVRC2012_img_train.tar"},
    "coco": COCO,
    "webdataset": {},
    "parquet-images": {"captions": "text"},
}


@pytest.fixture(params=ALL)
def source(request, root):
    options = dict(ALL[request.param])
    return opened(root, options.pop("kind", request.param), **options)


def expected_numbers(source):
    """The numbers of the images that the writers put into a dataset, in its order."""
    if source.config.format not in ("classes", "tars"):
        return list(range(5))
    names = [f"n_{n}" for label in range(3) for n in sorted(map(str, real.numbers_of(label, 4)))]
    return [int(name.removeprefix("n_")) for name in names]


def test_images_are_those_that_were_written(source):
    numbers = expected_numbers(source)
    assert len(source) == len(numbers)
    for index, number in enumerate(numbers):
        written = real.make_image(number)
        image = source.image(index)
        assert (image.mode, image.size) == ("RGB", written.size)
        # JPEG loses a little; other digits are far away.
        difference = np.abs(np.asarray(image).astype(int) - np.asarray(written)).mean()
        assert difference < (0.5 if source.name(index).endswith(".png") else 6)


def test_names_are_sorted_and_say_where_an_image_lies(source):
    names = [source.name(index) for index in range(len(source))]
    assert names == sorted(set(names))
    if ":" not in names[0]:
        assert all((source.base / name).is_file() for name in names)
    else:
        assert all((source.base / name.partition(":")[0]).is_file() for name in names)


def test_a_pickled_source_reads_the_same_bytes_in_another_order(source):
    before = [source.read(index) for index in range(len(source))]
    copy = pickle.loads(pickle.dumps(source))
    order = random.Random(0).sample(range(len(source)), len(source))
    assert [copy.read(index) for index in order] == [before[index] for index in order]


def test_a_whole_dataset_has_no_damage(source):
    assert [f for f in source.findings if f.severity == "damage"] == []


@pytest.mark.parametrize("kind", ["classes", "tars", "nested"])
def test_labels_count_the_synsets_in_their_sorted_order(root, kind):
    options = dict(ALL[kind])
    source = opened(root, options.pop("kind", kind), **options)
    assert source.classes == sorted(real.SYNSETS[:3])
    for index in range(len(source)):
        assert source.classes[source.label(index)] in source.name(index)
        # The writers show digit k in class k.
        assert source.label(index) == real.digit(int(source.name(index)[:-5].rpartition("_")[2]))


def test_class_folders_tars_and_the_tar_of_tars_are_the_same_dataset(root):
    folders, tars, nested = (
        opened(root, "classes"),
        opened(root, "tars"),
        opened(root, "tars", path="nested/ILSVRC2012_img_train.tar"),
    )
    for index in range(len(folders)):
        assert folders.read(index) == tars.read(index) == nested.read(index)
        assert folders.label(index) == tars.label(index) == nested.label(index)


def test_coco_has_the_captions_of_each_image_in_the_order_of_their_ids(root):
    source = opened(root, "coco", **COCO)
    for index in range(len(source)):
        assert source.captions(index) == [f"{real.caption(index, v)}." for v in range(5)]


def test_coco_images_are_also_read_from_the_zip_as_distributed(root, tmp_path):
    shutil.make_archive(tmp_path / "train2014", "zip", root / "coco", "train2014")
    shutil.copytree(root / "coco" / "annotations", tmp_path / "annotations")
    source = opened(tmp_path, "coco", **COCO | {"path": "train2014.zip"})
    folder = opened(root, "coco", **COCO)
    assert [source.read(i) for i in range(5)] == [folder.read(i) for i in range(5)]
    assert [source.captions(i) for i in range(5)] == [folder.captions(i) for i in range(5)]


@pytest.mark.parametrize("kind", ["webdataset", "parquet-images"])
def test_laion_has_one_caption_for_each_image(root, kind):
    source = opened(root, kind, **ALL[kind])
    assert [source.captions(i) for i in range(5)] == [[real.caption(i)] for i in range(5)]


def test_evaluation_captions_are_one_caption_of_each_of_the_chosen_images(root):
    source = opened(root, "coco", **COCO)
    images = evaluation_images(len(source), 4)
    assert images.tolist() == sorted(set(images.tolist()))
    assert len(images) == 4
    assert set(evaluation_images(len(source), 3)) < set(images)
    texts = one_caption_each(source, images)
    assert texts == one_caption_each(source, images)
    assert all(
        text in source.captions(image) for image, text in zip(images.tolist(), texts, strict=True)
    )
    assert len({source.captions(n).index(one_caption_each(source, np.array([n]))[0])
                for n in range(5)}) > 1  # fmt: skip
    with pytest.raises(DMPError, match="the image has no caption"):
        one_caption_each(opened(root, "folder"), images)


def test_an_index_of_a_tar_holds_no_pixels(tmp_path):
    peaks = []
    for size in (64, 256):
        folder = tmp_path / str(size)
        real.write_tars(folder, classes=1, per_class=40, size=size)
        stored = sum(tar.stat().st_size for tar in folder.iterdir())
        tracemalloc.start()
        open_source(SourceConfig(format="tars", path=str(size)), tmp_path, "tested")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert stored > 300_000
    assert peaks[1] < peaks[0] + 50_000


def test_datasets_are_opened_without_importing_torch():
    code = (
        "import sys; import dmp.stages.check_data, dmp.data.crop; "
        "from dmp.data.formats import format_names; format_names(); "
        "sys.exit('torch' in sys.modules or 'pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


ORIGINS = {
    "folder": r"NVlabs/ffhq-dataset \(licence CC BY-NC-SA",
    "classes": r"register at https://image-net.org, accept the terms",
    "tars": r"register at https://image-net.org, accept the terms",
    "coco": r"https://cocodataset.org.*train2014.zip.*annotations_trainval2014.zip",
    "webdataset": r"terms of the \(gated\) dataset have to be accepted; img2dataset",
    "parquet-images": r"https://huggingface.co/datasets/ILSVRC/imagenet-1k, .* be accepted",
}


def test_all_formats_are_known():
    assert set(ORIGINS) <= set(format_names())


@pytest.mark.parametrize("kind", ORIGINS)
def test_a_missing_dataset_is_described_with_its_origin(tmp_path, kind):
    problem = rf"dataset 'tested': .*does not exist.*{ORIGINS[kind]}"
    with pytest.raises(DMPError, match=problem) as error:
        opened(tmp_path, kind, path="absent", **({"captions": "x"} if kind == "coco" else {}))
    assert str(tmp_path / "absent") in str(error.value)


@pytest.mark.parametrize("kind", ORIGINS)
def test_planning_knows_how_many_captions_a_format_has(kind):
    given = {"captions": "x"} if kind in ("coco", "parquet-images") else {}
    expected = {"coco": 5, "webdataset": 1, "parquet-images": 1}.get(kind, 0)
    assert captions_per_image(SourceConfig(format=kind, path="x", **given)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"format": "fodler"},
            r"data.source.format: unknown format 'fodler': did you mean 'folder'",
        ),
        ({"format": "coco"}, "data.source: format 'coco' needs 'captions'"),
        ({"format": "tars", "options": {"a": 1}}, "data.source: options: unknown key 'a'"),
        *(
            (
                {"format": kind, "captions": "text"},
                f"data.source: captions = 'text' has no meaning in format '{kind}', which has no",
            )
            for kind in ("folder", "classes", "tars", "webdataset")
        ),
        *(
            (
                {"format": kind, "classes": 10, "captions": captions},
                f"data.source: classes = 10 has no meaning in format '{kind}', which has no",
            )
            for kind, captions in (("folder", None), ("webdataset", None), ("coco", "c.json"))
        ),
    ],
)
def test_a_format_is_checked_before_anything_is_read(options, message):
    source = SourceConfig(path="x", **options)
    data = DataConfig(name="x", source=source, latents=LatentsConfig())
    with pytest.raises(DMPError, match=message):
        check_sources(data, "data")


def test_a_format_of_another_package_may_read_all_that_a_configuration_has():
    class Other(Source):
        pass

    Other.check(SourceConfig(format="other", path="x", captions="text", classes=3), "data")


def test_a_missing_dataset_that_can_be_fetched_names_the_command(tmp_path):
    with pytest.raises(DMPError, match=r"`dmp download tested` fetches it\."):
        opened(tmp_path, "parquet-images", path="absent", download={"hub": "owner/name"})


@pytest.mark.parametrize("kind", ["folder", "classes", "tars", "webdataset"])
def test_an_empty_folder_is_the_same_error(tmp_path, kind):
    (tmp_path / kind).mkdir()
    with pytest.raises(DMPError, match=r"holds no image. Format .* expects"):
        opened(tmp_path, kind)


@pytest.mark.parametrize(
    ("kind", "file", "problem"),
    [
        ("folder", "images.rar", "images.rar: is neither a folder nor a .zip"),
        ("folder", "images.zip", "images.zip: cannot be opened as a zip"),
        ("classes", "train.zip", "train.zip: is not a folder"),
        ("tars", "train.tar.gz", "train.tar.gz: is not a .tar; decompress it"),
        ("parquet-images", "table.csv", "table.csv: is not a .parquet"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, kind, file, problem):
    (tmp_path / file).write_bytes(b"something else")
    with pytest.raises(DMPError, match=problem):
        opened(tmp_path, kind, path=file)


def test_captions_that_are_missing_or_something_else_are_refused(root, tmp_path):
    shutil.copytree(root / "coco", tmp_path / "coco")
    captions = tmp_path / "coco" / COCO["captions"]
    with pytest.raises(DMPError, match="format 'coco' needs 'captions'"):
        opened(tmp_path, "coco", path="coco/train2014")
    with pytest.raises(DMPError, match=r"captions .*coco/x.json cannot be read \(No such file"):
        opened(tmp_path, "coco", path="coco/train2014", captions="x.json")
    data = json.loads(captions.read_text())
    for text, problem in (
        ("{", r"JSONDecodeError: "),
        (json.dumps([]), r"TypeError: "),
        (
            json.dumps(data | {"annotations": [{"id": 0, "image_id": 0, "bbox": []}]}),
            r"does not hold captions as COCO's captions_\*.json do.*KeyError: 'caption'",
        ),
        (json.dumps(data | {"images": data["images"][:3]}), r"KeyError: 3"),
    ):
        captions.write_text(text)
        with pytest.raises(DMPError, match=problem):
            opened(tmp_path, "coco", **COCO)
