"""Randomness is a pure function of (seed, purpose, index)."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dmp.rng import generator, key, torch_generator


@given(st.integers(0, 10**6), st.text(max_size=20), st.integers(0, 10**9))
def test_same_key_same_numbers(seed, purpose, index):
    first, second = (generator(seed, purpose, index).random(3) for _ in range(2))
    assert (first == second).all()


def test_every_part_of_the_key_matters():
    keys = {key(0, "noise", 0), key(1, "noise", 0), key(0, "order", 0), key(0, "noise", 1)}
    assert len(keys) == 4


def test_draws_of_neighbouring_indices_are_independent_normals():
    draws = np.array([generator(0, "noise", i).standard_normal(4) for i in range(4000)])
    assert stats.kstest(draws.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.05


def test_torch_generators_follow_the_same_rule_on_the_cpu():
    numbers = [torch.randn(3, generator=torch_generator(0, "sampling", k)) for k in (0, 0, 1)]
    assert torch.equal(numbers[0], numbers[1])
    assert not torch.equal(numbers[0], numbers[2])
