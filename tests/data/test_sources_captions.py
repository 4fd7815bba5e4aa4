"""Every image has its own captions, whatever they are kept in: none is another's, or the last."""

import odd_formats as odd
import pytest

from dmp.config import DataConfig, SourceConfig
from dmp.data.formats import open_source
from dmp.data.shape import has_captions
from dmp.data.sources.captioned import captions_in, captions_in_json, captions_in_text
from dmp.errors import DMPError


def opened(root, kind, **options):
    return open_source(SourceConfig(**{"format": kind, "path": "set", **options}), root, "tested")


def damage(source):
    return {f.file: f.problem for f in source.findings if f.severity == "damage"}


def captions(source):
    return {source.name(n).rpartition(":")[2]: source.captions(n) for n in range(len(source))}


# -- what a caption may be ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" a cat\n", ["a cat"]),
        (["a", "b"], ["a", "b"]),
        (["a", None, " ", "b"], ["a", "b"]),
        (None, []),
        ([], []),
        ("", []),
        ("é 猫 😀", ["é 猫 😀"]),
    ],
)
def test_captions_are_a_text_or_a_list_of_texts(value, expected):
    assert captions_in(value, "x") == expected


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (7, "a caption is a number, 7,"),
        (float("nan"), "a caption is a number, nan,"),
        (True, "a caption is true or false, True,"),
        ({"en": "a"}, "a caption is an object, {'en': 'a'},"),
        ([["a", "b"]], r"a caption is a list in a list, \['a', 'b'\],"),
        (["a", 3], "a caption is a number, 3,"),
        ("\ud83d", "is not a caption .*surrogates not allowed"),
    ],
)
def test_a_caption_of_another_type_is_refused(value, told):
    with pytest.raises(DMPError, match=f"x: {told}"):
        captions_in(value, "x")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"caption": "a", "key": 1}', ["a"]),
        (b'{"captions": ["a", "b"]}', ["a", "b"]),
        (b'{"caption": null, "text": "b"}', []),
        (b'{"url": "x"}', []),
        (b'["a", "b"]', ["a", "b"]),
        (b'\xef\xbb\xbf"a"', ["a"]),
    ],
)
def test_json_holds_captions_under_their_name_or_alone(data, expected):
    assert captions_in_json(data, "x") == expected


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"caption": 3}', b"[" * 100_000, b""])
def test_json_of_anything_else_is_damage(data):
    with pytest.raises(DMPError, match="x: "):
        captions_in_json(data, "x")


def test_a_mark_of_byte_order_is_no_part_of_a_caption():
    assert captions_in_text(b"\xef\xbb\xbfa cat", "x") == ["a cat"]


# -- tar shards --------------------------------------------------------------------------------

ONE, TWO = odd.png(1), odd.png(2)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"0.png": ONE, "0.mask.png": TWO, "0.txt": "a"}, {"0.png": ["a"]}),
        ({"0.mask.png": TWO, "0.png": ONE, "0.depth.PNG": TWO, "0.TXT": "a"}, {"0.png": ["a"]}),
        ({"shot 2.0.png": ONE, "shot 2.0.txt": "a"}, {"shot 2.0.png": ["a"]}),
        ({"a.b/0.png": ONE, "a.b/0.txt": "a"}, {"a.b/0.png": ["a"]}),
        ({"a/0.png": ONE, "a/0.txt": "a", "b/0.png": TWO, "b/0.txt": "b"},
         {"a/0.png": ["a"], "b/0.png": ["b"]}),
        ({"0.png": ONE, "0.json": {"caption": ["a", "b"]}}, {"0.png": ["a", "b"]}),
        ({"0.png": ONE, "0.json": {"caption": "b"}, "0.txt": "a"}, {"0.png": ["a"]}),
        ({"0.png": ONE, "0.txt": "a", "0.alt.txt": "b"}, {"0.png": ["a"]}),
        ({"0.png": ONE, "0.caption.txt": "a"}, {"0.png": ["a"]}),
        ({"0.png": ONE, "0.txt": "a", "._0.png": TWO, "._0.txt": "b"}, {"0.png": ["a"]}),
    ],
)  # fmt: skip
def test_files_of_one_key_are_one_example(tmp_path, members, expected):
    odd.write_shard(tmp_path / "set", members)
    source = opened(tmp_path, "webdataset")
    assert damage(source) == {}
    assert captions(source) == expected
    assert source.read(0) == ONE


@pytest.mark.parametrize(
    ("members", "key", "clashing"),
    [
        (
            ["shot 2.0.png", "shot 2.0.txt", "shot 2.5.png", "shot 2.5.txt"],
            "shot 2",
            ["shot 2.0.png", "shot 2.5.png"],
        ),
        (["1.png", "1.txt", "1.5.png", "1.5.txt"], "1", ["1.5.png", "1.png"]),
        (["1.png", "1.txt", "1.5.png"], "1", ["1.5.png", "1.png"]),
        (["1.png", "1.b.png", "1.b.txt", "1.txt"], "1", ["1.b.png", "1.png"]),
        (["1.png", "1.jpg", "1.txt"], "1", ["1.jpg", "1.png"]),
        (["1.a.png", "1.b.png"], "1", ["1.a.png", "1.b.png"]),
        (["1.png", "1.txt", "1.5.txt"], "1", ["1.5.txt", "1.txt"]),
        (["v1.2 a.png", "v1.3 b.png"], "v1", ["v1.2 a.png", "v1.3 b.png"]),
    ],
)
def test_examples_of_one_key_are_damage_that_names_them(tmp_path, members, key, clashing):
    odd.write_shard(tmp_path / "set", dict.fromkeys(members, ONE) | {"z.png": TWO, "z.txt": "z"})
    source = opened(tmp_path, "webdataset")
    files = [f"0.tar:{name}" for name in clashing]
    problem = f"2 files have the key '0.tar:{key}', which ends at the first dot: {', '.join(files)}"
    assert damage(source) == {files[0]: problem}
    assert captions(source) == {"z.png": ["z"]}


def test_a_key_that_two_tars_have_is_two_examples(tmp_path):
    for tar, data in (("0", ONE), ("1", TWO)):
        odd.write_shard(tmp_path / "set", {"7.png": data, "7.txt": tar}, f"{tar}.tar")
    source = opened(tmp_path, "webdataset")
    assert [(source.read(n), source.captions(n)) for n in (0, 1)] == [(ONE, ["0"]), (TWO, ["1"])]


# -- COCO --------------------------------------------------------------------------------------


def coco(root, files, images, annotations):
    odd.write_coco(
        root / "set",
        [{"id": number, "file_name": name} for number, name in images],
        [{"id": n, "image_id": i, "caption": text} for n, (i, text) in enumerate(annotations)],
        files,
    )
    return opened(root, "coco", path="set/train2014", captions="captions.json")


@pytest.mark.parametrize("ids", [(3, 4), ("3", "4"), (3, "4"), ("x", 4), (3.0, -4)])
@pytest.mark.parametrize("prefix", ["", "train2014/", "./", "images/train2014/", "train2014\\"])
def test_images_are_found_by_the_end_of_their_names(tmp_path, ids, prefix):
    images = [(ids[0], f"{prefix}a.png"), (ids[1], f"{prefix}b.png")]
    annotations = [(str(ids[0]).removesuffix(".0"), "a"), (ids[1], "b"), (ids[0], None)]
    source = coco(tmp_path, ["a.png", "b.png"], images, annotations)
    assert damage(source) == {}
    assert captions(source) == {"a.png": ["a"], "b.png": ["b"]}
    [blank] = [f for f in source.findings if f.problem == "have no text"]
    assert blank.file == "captions.json: annotation 2"


def test_a_colon_and_an_accent_in_a_name_are_letters(tmp_path):
    names = ["1:2.png", "e\u0301.png", "a b:c/d.png"]
    images = [(0, "1:2.png"), (1, "\u00e9.png"), (2, "a b:c/d.png")]
    source = coco(tmp_path, names, images, [(n, str(n)) for n in range(3)])
    assert damage(source) == {}
    found = {source.name(n): source.captions(n) for n in range(3)}
    assert found == {names[0]: ["0"], names[1]: ["1"], names[2]: ["2"]}


def test_images_of_one_name_in_two_folders_are_told_apart_or_refused(tmp_path):
    files = ["a/1.png", "b/1.png"]
    both = [(0, "a/1.png"), (1, "b/1.png")]
    source = coco(tmp_path / "1", files, both, [(0, "a"), (1, "b")])
    assert (captions(source), damage(source)) == ({"a/1.png": ["a"], "b/1.png": ["b"]}, {})
    source = coco(tmp_path / "2", files, [(0, "1.png")], [(0, "a")])
    assert damage(source) == {
        "a/1.png": "the captions of 1.png fit several images: a/1.png, b/1.png"
    }
    source = coco(tmp_path / "3", ["1.png"], both, [(0, "a"), (1, "b")])
    assert damage(source)["1.png"] == "the captions have several such images: a/1.png, b/1.png"


@pytest.mark.parametrize("value", [7, {"raw": "a"}, True, [["a"]]])
def test_a_caption_of_another_type_is_named_by_its_id(tmp_path, value):
    source = coco(tmp_path, ["a.png"], [(0, "a.png")], [(0, value), (0, "a")])
    assert list(damage(source)) == ["captions.json: annotation 0"]
    assert captions(source) == {"a.png": ["a"]}


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ([(1, "a.png"), ("1", "b.png")], "two images have the id 1"),
        ([(1, None)], "the image with the id 1 has no name"),
        ([(None, "a.png")], "an id is None"),
        ([(1, "")], "the image with the id 1 has no name"),
    ],
)
def test_what_is_no_list_of_images_is_one_error(tmp_path, images, told):
    with pytest.raises(DMPError, match=f"does not hold captions as COCO's .*{told}"):
        coco(tmp_path, ["a.png"], images, [])


# -- tables ------------------------------------------------------------------------------------


def test_all_captions_of_a_table_are_kept(tmp_path):
    pa = pytest.importorskip("pyarrow")
    odd.write_table(tmp_path / "lists.parquet", [1, 2], [["a", None, "b"], None])
    texts = pa.array(["a", "b", "a"]).dictionary_encode()
    odd.write_table(tmp_path / "categories.parquet", [1, 2, 3], texts)
    odd.write_table(tmp_path / "rows.parquet", [1, 1, 1], ["a", "b", "c"])
    for path, expected in (
        ("lists", [["a", "b"], []]),
        ("categories", [["a"], ["b"], ["a"]]),
        # A row is an image: five rows of one image are copies of it, each with its caption.
        ("rows", [["a"], ["b"], ["c"]]),
    ):
        source = opened(tmp_path, "parquet-images", path=f"{path}.parquet", captions="text")
        assert [source.captions(n) for n in range(len(source))] == expected


def test_captions_in_lists_of_lists_are_damage(tmp_path):
    odd.write_table(tmp_path / "set.parquet", [1], [[["a"]]])
    source = opened(tmp_path, "parquet-images", path="set.parquet", captions="text")
    assert "a caption is a list in a list" in damage(source)["set.parquet"]


def test_a_table_with_a_named_column_has_captions():
    for options, expected in (({"captions": "text"}, True), ({}, False)):
        source = {"format": "parquet-images", "path": "x", **options}
        data = DataConfig.model_validate({"name": "x", "source": source, "latents": {}})
        assert has_captions(data) is expected


def test_a_name_that_is_not_utf8_is_read_in_a_shard(tmp_path):
    members = {"caf\udce9.png": ONE, "caf\udce9.txt": "coffee"}
    odd.write_shard(tmp_path / "set", members)
    assert captions(opened(tmp_path, "webdataset")) == {"caf\udce9.png": ["coffee"]}
