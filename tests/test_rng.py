"""Randomness is a pure function of (seed, purpose, index), and of all bits of its key."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dmp import rng
from dmp.data.noise import standard_normal
from dmp.rng import each_generator, generator, key

# A draw that is right fails one of the statistical tests here once in a million times, at most. The
# draws are the same in each run of the tests, and so is the answer.
FALSE_ALARM = 1e-6


@given(st.integers(0, 10**6), st.text(max_size=20), st.integers(0, 10**9))
def test_same_key_same_numbers(seed, purpose, index):
    first, second = (generator(seed, purpose, index).random(3) for _ in range(2))
    assert (first == second).all()


def test_every_part_of_the_key_matters():
    keys = {key(0, "noise", 0), key(1, "noise", 0), key(0, "order", 0), key(0, "noise", 1)}
    assert len(keys) == 4


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**9), max_size=5))
def test_one_generator_for_each_index_draws_what_theirs_draw(seed, indices):
    """An odd number of float32 leaves half a word over, which the next must not see."""

    def draws(source: np.random.Generator) -> list:
        return [*source.standard_normal(3, dtype=np.float32), source.random()]

    found = [draws(source) for source in each_generator(seed, "a test", indices)]
    assert found == [draws(generator(seed, "a test", index)) for index in indices]


def test_no_two_of_a_million_streams_share_their_first_64_bits():
    """By chance, this would happen to one choice of a million streams in 37 million."""
    first = np.empty((4, 5, 50_000), np.uint64)
    purposes = ["sampling", "pretraining: noise", "further training: noise", "posterior", "flip"]
    for (s, seed), (p, purpose) in product(enumerate((0, 1, 2, 2**40)), enumerate(purposes)):
        streams = each_generator(seed, purpose, range(50_000))
        first[s, p] = [source.bit_generator.random_raw() for source in streams]
    assert len(np.unique(first)) == first.size == 10**6


@pytest.mark.parametrize("bit", [0, 31, 32, 63, 64, 100, 127])
def test_keys_that_differ_in_one_bit_give_other_noise(monkeypatch, bit):
    """torch's generators tell apart the low 32 bits, and no others."""
    monkeypatch.setattr(rng, "key", lambda seed, purpose, index=0: 5 ^ (index << bit))
    noise = standard_normal(0, "a test", [0, 1], (1000,)).numpy()
    made = [generator(0, "a test", index).standard_normal(1000, np.float32) for index in (0, 1)]
    assert np.array_equal(noise, made)
    assert (noise[0] == noise[1]).mean() < 0.01
    # The standard error of a correlation is 1/√n.
    bound = stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(1000)
    assert abs(np.corrcoef(noise)[0, 1]) < bound


COUNT, WIDTH = 2000, 16  # streams in a row, and what is looked at of each


def drawn(seed: int = 0, purpose: str = "noise", first: int = 0) -> np.ndarray:
    return standard_normal(seed, purpose, range(first, first + COUNT), (WIDTH,)).numpy()


NEIGHBOURS = {
    "seed": drawn(seed=1),
    "purpose": drawn(purpose="noise "),
    "index": drawn(first=1),
    "a hundred indices on": drawn(first=100),
    "index across batches": drawn(first=COUNT),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbouring_streams_are_independent(name):
    """Neither their numbers nor the squares of these are correlated, at any pair of places."""
    base, other = drawn(), NEIGHBOURS[name]
    comparisons = 2 * WIDTH**2
    bound = stats.norm.isf(FALSE_ALARM / comparisons / 2) / np.sqrt(COUNT)
    for transform in (lambda x: x, np.square):
        both = np.corrcoef(transform(base), transform(other), rowvar=False)
        assert abs(both[:WIDTH, WIDTH:]).max() < bound
    # Their directions are uniform: a common sign would show here.
    signs = stats.binomtest(int((base * other > 0).sum()), base.size)
    assert signs.pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_numbers_across_streams_are_standard_normal(name):
    values = NEIGHBOURS[name]
    assert stats.kstest(values.ravel(), "norm").pvalue > FALSE_ALARM
    for place in (0, WIDTH - 1):  # the first number of each stream by itself
        assert stats.kstest(values[:, place], "norm").pvalue > FALSE_ALARM


def test_first_uniform_numbers_fill_the_square_evenly():
    """(x of stream k, x of stream k + 1) on a grid of 20 x 20 boxes."""
    x = np.array([source.random() for source in each_generator(3, "flip", range(40_001))])
    counts, _, _ = np.histogram2d(x[:-1:2], x[1::2], bins=20, range=[(0, 1), (0, 1)])
    assert stats.chisquare(counts.ravel()).pvalue > FALSE_ALARM


def test_statistics_draw_without_torch():
    code = (
        "import sys, dmp.rng; dmp.rng.generator(0, 'bootstrap'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
