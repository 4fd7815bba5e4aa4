"""The log of a run is read as it was written, and says so where it cannot be."""

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmp.errors import DMPError
from dmp.runlog import RunLog, read_log

NAMES = st.sampled_from(["loss", "loss/mse", "loss_mse/0-99", "gate/entropy", "memory_mb"])
HEADS = st.fixed_dictionaries(
    {"step": st.integers(0, 10**9), "time": st.integers(0, 2 * 10**12).map(lambda t: t / 1000)}
)
VALUES = st.dictionaries(NAMES, st.floats(allow_nan=False))
RECORDS = st.lists(st.builds(lambda head, values: head | values, HEADS, VALUES), max_size=5)


def points_of(records):
    return [
        (name, value, round(record["time"] * 1000), record["step"])
        for record in records
        for name, value in record.items()
        if name not in ("step", "time")
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.jsonl"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "log.jsonl"


@given(records=RECORDS, data=st.data())
def test_log_cut_anywhere_keeps_every_whole_record_to_the_last_bit(shared, records, data):
    whole = "".join(json.dumps(record) + "\n" for record in records)
    cut = whole[: data.draw(st.just(len(whole)) | st.integers(0, len(whole)))]
    shared.write_text(cut)
    # A record whose line end alone is missing is whole.
    kept = cut.count("\n") + bool(cut.endswith("}"))

    assert read_log(shared) == points_of(records[:kept])


def test_a_training_logs_valid_json_of_what_is_not_finite(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    with RunLog(path, 0) as log:
        log.write(20, {"loss": 0.5, "loss/vb": math.inf, "entropy": math.nan})
    assert json.loads(path.read_text(), parse_constant=refuse)["loss"] == 0.5
    loss, *others = read_log(path)
    assert loss.value == 0.5
    assert [(p.name, p.step) for p in others] == [("loss/vb", 20), ("entropy", 20)]
    assert all(math.isnan(p.value) for p in others)


def test_missing_or_empty_log_is_an_empty_history(tmp_path):
    (tmp_path / "log.jsonl").touch()

    assert read_log(tmp_path / "log.jsonl") == []
    assert read_log(tmp_path / "absent.jsonl") == []


def test_long_log_is_thinned_evenly_and_keeps_its_ends(path):
    lines = [json.dumps({"step": step, "time": 1.0, "loss": 1 / step}) for step in range(1, 2002)]
    path.write_text("\n".join(lines) + "\n")

    points = read_log(path, most=100)
    steps = [point.step for point in points]
    assert (len(points), steps[0], steps[-1]) == (100, 1, 2001)
    assert {after - before for before, after in itertools.pairwise(steps)} == {20, 21}
    assert all(point.value == 1 / point.step for point in points)


@pytest.mark.parametrize(
    "line",
    [
        *('{"step": 2, "time"', "", "\xff", "[1, 2]", '{"time": 1.0}', '{"step": 1}'),
        '{"step": null, "time": 1.0}',
        '{"step": 1, "time": NaN}',
        '{"step": 1, "time": 1.0, "loss": []}',
        '{"step": 1, "time": 1.0, "loss": "low"}',
    ],
)
def test_corrupt_line_is_named_with_its_file(path, line):
    good = '{"step": 1, "time": 1.0, "loss": 0.5}\n'
    path.write_text(good + line + "\n" + good, encoding="latin-1")

    with pytest.raises(DMPError, match=f"{path}, line 2 is not a JSON object"):
        read_log(path)
