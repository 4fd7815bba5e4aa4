import math

import pytest

from dmp.errors import DMPError
from dmp.runlog import Point
from dmp.tracking.points import read_convergence, read_metrics


@pytest.fixture
def metrics(tmp_path):
    def write(*rows):
        path = tmp_path / "metrics.csv"
        path.write_text("\n".join(["metric,bin,iteration,value,samples", *rows, ""]))
        return path

    return write


def test_final_metrics_are_named_by_metric_and_bin(metrics, tmp_path):
    path = metrics(
        "fid,all,30,115.95326377171438,256",
        "denoising_mse,0-99,30,1e-300,718",
        "denoising_mse,all,30,nan,718",
    )

    fid, binned, whole = read_metrics(path, time_ms=7, step=30)

    assert fid == Point("final/fid", 115.95326377171438, 7, 30)
    assert binned == Point("final/denoising_mse/0-99", 1e-300, 7, 30)
    assert whole.name == "final/denoising_mse"
    assert math.isnan(whole.value)
    assert read_metrics(tmp_path / "absent.csv", 7, 30) == []


def test_what_was_measured_on_the_way_is_a_history(metrics):
    path = metrics("fid,all,30,5,1", "kid,all,30,1,1", "fid,all,0,9,1", "old,all,0,3,1")
    assert read_metrics(path, 7, 40) == [
        Point("final/fid", 5.0, 7, 40),
        Point("curve/fid", 9.0, 7, 0),
        Point("curve/fid", 5.0, 7, 30),
        Point("final/kid", 1.0, 7, 40),
        Point("curve/old", 3.0, 7, 0),
    ]


def test_metric_that_is_listed_twice_is_refused(metrics):
    path = metrics("fid,all,30,1,1", "fid,all,30,2,1")
    with pytest.raises(DMPError, match=r"metrics\.csv: fid is listed twice at iteration 30"):
        read_metrics(path, 0, 0)


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
