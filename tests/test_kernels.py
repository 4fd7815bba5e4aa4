"""Products and attention where numerics are portable: right, and the same in any batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from dmp.kernels import WHOLE_MATRICES


def matrix(draw, rows: int, columns: int) -> torch.Tensor:
    """Return a matrix that lies in memory in one of the ways that torch knows."""
    source = np.random.default_rng(draw(st.integers(0, 99)))
    large = torch.from_numpy(source.standard_normal((2 * rows, 2 * columns), dtype=np.float32))
    return draw(
        st.sampled_from(
            [
                large[:rows, :columns].contiguous(),
                large[:rows, :columns],
                large[::2, ::2],
                large[:rows, :columns].T.contiguous().T,
                large[:1, :columns].expand(rows, columns),
                large[:rows, :1].expand(rows, columns),
            ]
        )
    )


@given(st.data())
def test_products_are_products_however_matrices_lie_in_memory(data):
    rows, inner, columns = (data.draw(st.integers(1, 40)) for _ in range(3))
    a = matrix(data.draw, rows, inner)
    b = matrix(data.draw, inner, columns)
    bias = matrix(data.draw, 2, columns)[1]
    wanted = a.double().numpy() @ b.double().numpy()
    np.testing.assert_allclose((a @ b).numpy(), wanted, rtol=1e-4, atol=1e-4)
    with_bias = torch.nn.functional.linear(a, b.T, bias).numpy()
    np.testing.assert_allclose(with_bias, wanted + bias.double().numpy(), rtol=1e-4, atol=1e-4)
    scaled = torch.addmm(bias, a, b, beta=0.5, alpha=2).numpy()
    expected = 2 * wanted + 0.5 * bias.double().numpy()
    np.testing.assert_allclose(scaled, expected, rtol=1e-4, atol=1e-4)


def test_gradients_of_products_are_those_of_float64():
    source = np.random.default_rng(0)
    x, w, b = (
        torch.from_numpy(source.standard_normal(shape, dtype=np.float32))
        for shape in ((3, 50, 20), (70, 20), (70,))
    )
    found, wanted = (
        torch.autograd.grad(
            torch.nn.functional.linear(*inputs).square().sum(),
            inputs,
        )
        for inputs in (
            [each.clone().requires_grad_() for each in (x, w, b)],
            [each.double().requires_grad_() for each in (x, w, b)],
        )
    )
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-3)


def test_empty_and_double_products_still_work():
    empty = torch.zeros(0, 3) @ torch.zeros(3, 2)
    assert empty.shape == (0, 2)
    inner = torch.zeros(2, 0) @ torch.zeros(0, 3)
    assert torch.equal(inner, torch.zeros(2, 3))
    double = torch.eye(3, dtype=torch.float64)
    assert torch.equal(double @ double, double)


def drawn(*shape: int) -> list[torch.Tensor]:
    """Return queries, keys, values and a gradient, in memory as attention finds them."""
    batch, heads, tokens, width = shape
    source = np.random.default_rng(tokens)
    found = source.standard_normal((batch, tokens, 4, heads, width), dtype=np.float32)
    return [x.requires_grad_() for x in torch.from_numpy(found).permute(2, 0, 3, 1, 4)]


def attended(q, k, v, gradient, **options) -> list[torch.Tensor]:
    out = scaled_dot_product_attention(q, k, v, **options)
    return [out.detach(), *torch.autograd.grad(out, (q, k, v), gradient)]


def by_hand(q, k, v, gradient, scale=None, is_causal=False) -> list[torch.Tensor]:
    """Compute softmax(scale q k^T) v and its gradients, in float64."""
    q, k, v, gradient = (x.detach().double().requires_grad_() for x in (q, k, v, gradient))
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = scores + torch.full_like(scores, -torch.inf).triu(1)
    out = scores.softmax(-1) @ v
    return [out.detach(), *torch.autograd.grad(out, (q, k, v), gradient)]


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("tokens", [5, WHOLE_MATRICES - 1, WHOLE_MATRICES, 144])
@pytest.mark.parametrize("options", [{}, {"scale": 0.3}, {"is_causal": True}])
def test_attention_and_its_gradients_are_those_of_float64(heads, tokens, options):
    inputs = drawn(2, heads, tokens, 8)
    for ours, theirs in zip(attended(*inputs, **options), by_hand(*inputs, **options), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def test_attention_to_other_tokens_than_those_that_ask():
    q, _, _, gradient = drawn(2, 1, WHOLE_MATRICES, 8)
    _, k, v, _ = drawn(2, 1, WHOLE_MATRICES + 16, 8)
    found, wanted = (f(q, k, v, gradient) for f in (attended, by_hand))
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def test_attention_to_many_tokens_has_the_same_bits_in_any_batch_and_without_gradients():
    inputs = drawn(3, 2, 256, 12)
    together = attended(*inputs)
    for i in range(3):
        alone = attended(*(x[i : i + 1].detach().requires_grad_() for x in inputs))
        for each, whole in zip(alone, together, strict=True):
            assert torch.equal(each[0], whole[i])
    with torch.no_grad():
        assert torch.equal(scaled_dot_product_attention(*inputs[:3]), together[0])


def test_only_attention_to_many_tokens_is_by_whole_matrices(monkeypatch):
    softmax, calls = torch.softmax, []

    def counted(*inputs, **options):
        calls.append(inputs)
        return softmax(*inputs, **options)

    monkeypatch.setattr(torch, "softmax", counted)
    for tokens, double, expected in (
        (WHOLE_MATRICES - 1, False, 0), (WHOLE_MATRICES, True, 0), (WHOLE_MATRICES, False, 2),
    ):  # fmt: skip
        calls.clear()
        inputs = (x.double() if double else x for x in drawn(2, 1, tokens, 4)[:3])
        scaled_dot_product_attention(*inputs)
        assert len(calls) == expected
