import numpy as np
import pytest

from dmp.stages.speed import FEWEST, MOST, PRECISE, SECONDS, TURNS, WARM_UP, time_blocks


class Machine:
    """A clock that steps move: what each takes, times what the machine does meanwhile."""

    def __init__(self, seconds, noise, seed=0):
        self.now, self.rng, self.noise, self.calls = 0.0, np.random.default_rng(seed), noise, []
        self.steps = {name: self._step(name, value) for name, value in seconds.items()}

    def _step(self, name, seconds):
        def step():
            self.calls.append(name)
            self.now += seconds * self.noise(self.rng, len(self.calls))

        return step

    def blocks(self):
        return time_blocks(self.steps, "cpu", lambda: self.now)


def test_steps_take_turns_in_changing_order_and_medians_forget_what_is_rare():
    # One call in ten is ten times slower, at random: no median is.
    machine = Machine({"a": 0.01, "b": 0.02}, lambda rng, _: 10.0 if rng.random() < 0.1 else 1.0)
    blocks = machine.blocks()
    assert np.median([block["b"] / block["a"] for block in blocks]) == pytest.approx(2)
    counted = machine.calls[2 * WARM_UP :]
    assert counted[:4] in (["a", "b", "b", "a"], ["b", "a", "a", "b"])
    assert counted.count("a") == counted.count("b") == TURNS * len(blocks)


def test_a_machine_that_slows_down_slows_both():
    machine = Machine({"a": 0.01, "b": 0.0104}, lambda rng, k: (1 + k / 500) * rng.normal(1, 0.002))
    blocks = machine.blocks()
    logs = np.log([block["b"] / block["a"] for block in blocks])
    assert 100 * np.expm1(logs.mean()) == pytest.approx(4, abs=0.3)
    assert blocks[-1]["a"] > 1.2 * blocks[0]["a"]


def test_blocks_are_added_until_times_are_precise_or_the_cap_is_reached():
    quiet = Machine({"a": 0.01, "b": 0.0104}, lambda rng, _: rng.normal(1, 0.001)).blocks()
    assert len(quiet) == FEWEST
    some = Machine({"a": 0.01, "b": 0.0104}, lambda rng, _: rng.lognormal(0, 0.02)).blocks()
    assert FEWEST < len(some) < MOST
    logs = np.log([block["b"] / block["a"] for block in some])
    assert 1.5 * np.std(logs, ddof=1) / np.sqrt(len(logs)) < PRECISE
    loud = Machine({"a": 0.001, "b": 0.00104}, lambda rng, _: rng.lognormal(0, 0.5)).blocks()
    assert len(loud) == MOST


def test_a_slow_machine_stops_after_its_time():
    machine = Machine({"a": 0.1, "b": 0.1}, lambda rng, _: rng.lognormal(0, 0.5))
    assert FEWEST < len(machine.blocks()) < MOST
    assert SECONDS < machine.now < SECONDS + 10
    slower = Machine({"a": 1.0, "b": 1.0}, lambda rng, _: rng.lognormal(0, 0.5))
    assert len(slower.blocks()) == FEWEST
