import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmp.errors import DMPError
from dmp.tracking.points import read_convergence, read_log, read_metrics
from dmp.tracking.record import Point
from dmp.training.log import RunLog

VALUES = st.floats(allow_nan=False)
NAMES = st.sampled_from(["loss", "loss/mse", "loss_mse/0-99", "gate/entropy", "memory_mb"])
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"step": st.integers(0, 10**9), "time": st.integers(0, 2 * 10**12).map(lambda t: t / 1000)}
    ).flatmap(lambda head: st.dictionaries(NAMES, VALUES).map(lambda values: {**head, **values})),
    max_size=5,
)


def points_of(records):
    return [
        (name, value, round(record["time"] * 1000), record["step"])
        for record in records
        for name, value in record.items()
        if name not in ("step", "time")
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("points") / "log.jsonl"


@given(records=RECORDS)
def test_log_is_read_to_the_last_bit(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))

    assert read_log(path) == points_of(records)


@given(records=RECORDS, data=st.data())
def test_log_cut_anywhere_keeps_every_whole_record(path, records, data):
    whole = "".join(json.dumps(record) + "\n" for record in records)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    path.write_text(cut)
    # A record whose line end alone is missing is whole.
    kept = cut.count("\n") + bool(cut.endswith("}"))

    assert read_log(path) == points_of(records[:kept])


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


def test_nan_and_infinity_are_values(path):
    path.write_text('{"step": 1, "time": 0.5, "a": NaN, "b": Infinity, "c": -Infinity, "d": 4}\n')

    a, *others = read_log(path)

    assert a.name == "a"
    assert math.isnan(a.value)
    assert others == [("b", math.inf, 500, 1), ("c", -math.inf, 500, 1), ("d", 4.0, 500, 1)]


def test_missing_or_empty_log_is_an_empty_history(tmp_path):
    (tmp_path / "log.jsonl").touch()

    assert read_log(tmp_path / "log.jsonl") == []
    assert read_log(tmp_path / "absent.jsonl") == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"step": 2, "time"', "line 2 is not JSON"),
        ("", "line 2 is not JSON"),
        ("\xff", "line 2 is not JSON"),
        ("[1, 2]", "line 2 is [1, 2]"),
        ('{"time": 1.0}', "line 2: step = None"),
        ('{"step": 1.5, "time": 1.0}', "line 2: step = 1.5"),
        ('{"step": true, "time": 1.0}', "line 2: step = True"),
        ('{"step": 1}', "line 2: time = None"),
        ('{"step": 1, "time": NaN}', "line 2: time = nan"),
        ('{"step": 1, "time": -1}', "line 2: time = -1"),
        ('{"step": 1, "time": 1.0, "loss": []}', "line 2: loss = []"),
        ('{"step": 1, "time": 1.0, "loss": "0.5"}', "line 2: loss = '0.5'"),
        ('{"step": 1, "time": 1.0, "loss": true}', "line 2: loss = True"),
        ('{"step": 1, "time": 1.0, "loss@1": 0.5}', "line 2: MLflow cannot take the name 'loss@1'"),
    ],
)
def test_corrupt_line_is_named_with_its_file(path, line, named):
    good = '{"step": 1, "time": 1.0, "loss": 0.5}\n'
    path.write_text(good + line + "\n" + good, encoding="latin-1")

    with pytest.raises(DMPError) as error:
        read_log(path)

    assert f"{path}, {named}" in str(error.value)


def test_final_metrics_are_named_by_metric_and_bin(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(
        "metric,bin,iteration,value,samples,protocol,evaluator\n"
        "fid,all,30,115.95326377171438,256,1a,classifier\n"
        "denoising_mse,0-99,30,0.1,718,2b,held-out images\n"
        "denoising_mse,all,30,nan,718,2b,held-out images\n"
    )

    fid, binned, whole = read_metrics(path, time_ms=7, step=30)

    assert fid == Point("final/fid", 115.95326377171438, 7, 30)
    assert binned == Point("final/denoising_mse/0-99", 0.1, 7, 30)
    assert whole.name == "final/denoising_mse"
    assert math.isnan(whole.value)
    assert read_metrics(tmp_path / "absent.csv", 7, 30) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no column 'bin'"),
        ("metric,value\nfid,1\n", "no column 'bin'"),
        ("metric,bin,iteration,value\nfid,all,30,\n", "line 2: value = ''"),
        ("metric,bin,iteration,value\nfid,all,30\n", "line 2: value = None"),
        ("metric,bin,iteration,value\nfid,all,30,low\n", "line 2: value = 'low'"),
        (
            "metric,bin,iteration,value\nfid,all,30,1\nfid,all,30,2\n",
            "line 3: fid is listed twice at iteration 30",
        ),
        ("metric,bin,iteration,value\nf?d,all,30,1\n", "line 2: MLflow cannot take the name 'f?d'"),
    ],
)
def test_corrupt_metrics_are_named_with_their_file(tmp_path, text, named):
    path = tmp_path / "metrics.csv"
    path.write_text(text)

    with pytest.raises(DMPError) as error:
        read_metrics(path, 0, 0)

    assert str(path) in str(error.value)
    assert named in str(error.value)


def test_convergence_is_numbers_and_a_history_of_fids(tmp_path):
    path = tmp_path / "convergence.json"
    path.write_text(
        '{"converged": true, "tau": -0.5, "note": "x", "fids": [9.5, 8], "iterations": [60, 80]}'
    )

    assert read_convergence(path, time_ms=7, step=120) == [
        ("convergence/converged", 1.0, 7, 120),
        ("convergence/tau", -0.5, 7, 120),
        ("convergence/fids", 9.5, 7, 60),
        ("convergence/fids", 8.0, 7, 80),
    ]
    assert read_convergence(tmp_path / "absent.json", 0, 0) == []


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"fids": [1], "iterations": []}', '{"fids": 1, "iterations": 2}']
)
def test_corrupt_convergence_is_named(tmp_path, text):
    path = tmp_path / "convergence.json"
    path.write_text(text)

    with pytest.raises(DMPError, match=r"convergence\.json"):
        read_convergence(path, 0, 0)


def test_what_was_measured_on_the_way_is_a_history(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("metric,bin,iteration,value\nfid,all,30,5\nkid,all,30,1\nfid,all,0,9\n")
    assert read_metrics(path, 7, 30) == [
        Point("final/fid", 5.0, 7, 30),
        Point("curve/fid", 9.0, 7, 0),
        Point("curve/fid", 5.0, 7, 30),
        Point("final/kid", 1.0, 7, 30),
    ]
