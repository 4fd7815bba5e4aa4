"""Bins of timesteps: together they are all timesteps, and labels say which."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmp.bins import bin_label, timestep_bin


@given(total=st.integers(1, 1500), data=st.data())
def test_bins_part_the_timesteps_into_the_ranges_of_their_labels(total, data):
    bins = data.draw(st.integers(1, total))
    timesteps = np.arange(total)
    index = timestep_bin(timesteps, bins, total)
    listed = []
    for number in range(bins):
        first, last = map(int, bin_label(number, bins, total).split("-"))
        inside = timesteps[index == number]
        assert (inside[0], inside[-1], len(inside)) == (first, last, last - first + 1)
        listed.append(len(inside))
    assert sum(listed) == total
    assert max(listed) - min(listed) <= 1


def test_ten_bins_of_1000_timesteps():
    assert [bin_label(i, 10, 1000) for i in (0, 1, 9)] == ["0-99", "100-199", "900-999"]
    assert timestep_bin(np.array([0, 99, 100, 999]), 10, 1000).tolist() == [0, 0, 1, 9]


@given(st.integers(1, 1000), st.lists(st.integers(0, 999), min_size=1))
def test_tensors_arrays_and_numbers_have_the_same_bins(bins, timesteps):
    tensor = timestep_bin(torch.tensor(timesteps), bins, 1000)
    assert tensor.dtype == torch.int64
    assert tensor.tolist() == timestep_bin(np.array(timesteps), bins, 1000).tolist()
    assert tensor.tolist() == [timestep_bin(t, bins, 1000) for t in timesteps]
