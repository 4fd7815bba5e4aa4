import math

import numpy as np
import pytest

from dmp.arrayfile import save_arrays
from dmp.errors import DMPError
from dmp.runlog import Point
from dmp.tracking.points import read_convergence, read_gate, read_metrics


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
    before = ("fid,all,0,9,1", "fid,0-99,0,9,1", "old,all,0,3,1")
    path = metrics("fid,all,30,5,1", "kid,all,30,1,1", *before)
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


def test_gate_is_a_history_over_timesteps(tmp_path):
    path, name = tmp_path / "gate.npz", "curve/ln N - entropy over timesteps"
    record = {"timesteps": np.array([0, 999]), "entropy": np.array([0.0, math.log(4)])}
    save_arrays(path, record | {"weights": np.zeros((2, 3, 4))})
    assert read_gate(path, 7) == [Point(name, math.log(4), 7, 0), Point(name, 0.0, 7, 999)]

    # Blocks that differ in the number of prompts: the mean of ln 4 and ln 16 is ln 8.
    save_arrays(path, record | {"weights_0": np.zeros((2, 4)), "weights_1": np.zeros((2, 16))})
    first, last = read_gate(path, 7)
    assert (first.value, last.value) == pytest.approx((math.log(8), math.log(2)))


def test_run_without_a_gate_has_no_history_of_it(tmp_path):
    path = tmp_path / "gate.npz"
    assert read_gate(path, 7) == []
    save_arrays(path, {})
    assert read_gate(path, 7) == []


def test_gate_whose_arrays_do_not_fit_is_refused(tmp_path):
    path = tmp_path / "gate.npz"
    arrays = {"timesteps": np.arange(3), "entropy": np.zeros(2), "weights": np.ones((2, 1, 4))}
    save_arrays(path, arrays)
    with pytest.raises(DMPError, match=r"gate\.npz does not hold what it should"):
        read_gate(path, 7)
