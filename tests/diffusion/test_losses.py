"""The hybrid loss, against Bayes' rule, torch.distributions and SciPy in double precision."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats
from test_numerics import OnlyPortable
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from dmp.diffusion import Diffusion, alphas_cumprod
from dmp.diffusion.losses import _discretised_log_likelihood
from dmp.errors import DMPError

T = 1000
SCHEDULES = ["linear", "cosine"]
DIFFUSIONS = {name: Diffusion(name) for name in SCHEDULES}
SHAPE = (2, 3, 3)


@pytest.fixture(params=SCHEDULES)
def diffusion(request) -> Diffusion:
    return DIFFUSIONS[request.param]


def bars(diffusion: Diffusion, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return alpha-bar at t and before it, and beta, each (B, 1, 1, 1) in double precision."""
    table = alphas_cumprod(diffusion.schedule, T)
    bar = torch.from_numpy(table)[t]
    before = torch.from_numpy(np.concatenate([[1.0], table[:-1]]))[t]
    shape = (-1, 1, 1, 1)
    return bar.reshape(shape), before.reshape(shape), (1 - bar / before).reshape(shape)


def bayes(x0: Tensor, xt: Tensor, bar: Tensor, before: Tensor, beta: Tensor) -> Normal:
    """q(x_{t-1} | x_t, x_0): the prior N(sqrt(before) x0, 1 - before), seen through one step."""
    precision = 1 / (1 - before) + (1 - beta) / beta
    mean = (before.sqrt() * x0 / (1 - before) + (1 - beta).sqrt() * xt / beta) / precision
    return Normal(mean, precision.rsqrt())


def make_inputs(diffusion: Diffusion, t: Tensor, seed: int = 0) -> tuple[Tensor, ...]:
    """Return output, x0, xt, noise, t as training makes them, in double precision."""
    generator = torch.Generator().manual_seed(seed)

    def draw(channels: int = SHAPE[0]) -> Tensor:
        size = (len(t), channels, *SHAPE[1:])
        return torch.randn(size, generator=generator, dtype=torch.float64)

    x0 = (draw() * 0.5).clamp(-1, 1)
    x0 = ((x0 + 1) * 127.5).round() / 127.5 - 1
    noise = draw()
    output = torch.cat([noise + 0.3 * draw(), draw().clamp(-1, 1)], dim=1)
    return output, x0, diffusion.add_noise(x0, noise, t), noise, t


# -- the forward process --------------------------------------------------------------------------


def test_noisy_image_has_the_closed_form(diffusion):
    t = torch.tensor([0, 1, 250, 998, 999])
    _, x0, xt, noise, _ = make_inputs(diffusion, t)
    bar, _, _ = bars(diffusion, t)
    torch.testing.assert_close(xt, bar.sqrt() * x0 + (1 - bar).sqrt() * noise, rtol=0, atol=1e-6)


def test_posterior_is_bayes_rule_for_two_gaussians(diffusion):
    t = torch.arange(1, T)
    _, x0, xt, _, _ = make_inputs(diffusion, t)
    expected = bayes(x0, xt, *bars(diffusion, t))
    mean, log_variance = diffusion.posterior(x0, xt, t)
    torch.testing.assert_close(mean, expected.mean, rtol=0, atol=2e-6)
    spread = expected.scale.log() * 2
    torch.testing.assert_close(log_variance.double().expand_as(spread), spread, rtol=0, atol=2e-6)


def test_posterior_at_zero_is_the_image_itself(diffusion):
    """Its variance is 0, of which there is no logarithm: that of t = 1 stands in."""
    t = torch.zeros(3, dtype=torch.int64)
    _, x0, xt, _, _ = make_inputs(diffusion, t)
    mean, log_variance = diffusion.posterior(x0, xt, t)
    torch.testing.assert_close(mean, x0, rtol=0, atol=1e-7)
    assert torch.equal(log_variance, diffusion.posterior(x0, xt, t + 1)[1])


# -- the two losses -------------------------------------------------------------------------------


def test_mse_is_the_mean_square_of_the_noise_error(diffusion):
    output, x0, xt, noise, t = make_inputs(diffusion, torch.tensor([0, 3, 999]))
    expected = ((output[:, :2] - noise) ** 2).sum(dim=(1, 2, 3)) / math.prod(SHAPE)
    torch.testing.assert_close(
        diffusion.losses(output, x0, xt, noise, t).mse, expected, rtol=1e-12, atol=0
    )


def predicted_normal(diffusion: Diffusion, output: Tensor, xt: Tensor, t: Tensor) -> Normal:
    """p(x_{t-1} | x_t), from Eqs. 11 of Ho et al. and 15 of Nichol & Dhariwal."""
    bar, before, beta = bars(diffusion, t)
    epsilon, position = output.chunk(2, dim=1)
    mean = (xt - beta / (1 - bar).sqrt() * epsilon) / (1 - beta).sqrt()
    tilde = beta * (1 - before) / (1 - bar)
    bar1, before1, beta1 = bars(diffusion, torch.tensor([1]))
    tilde = torch.where(t.reshape(-1, 1, 1, 1) == 0, beta1 * (1 - before1) / (1 - bar1), tilde)
    share = (position + 1) / 2
    return Normal(mean, torch.exp(0.5 * (share * beta.log() + (1 - share) * tilde.log())))


def test_bound_is_the_kl_divergence_of_torch_distributions(diffusion):
    t = torch.cat([torch.arange(1, 40), torch.arange(40, T, 7), torch.tensor([998, 999])])
    output, x0, xt, noise, t = make_inputs(diffusion, t)
    truth = bayes(x0, xt, *bars(diffusion, t))
    divergence = kl_divergence(truth, predicted_normal(diffusion, output, xt, t))
    expected = divergence.mean(dim=(1, 2, 3)) / math.log(2)
    actual = diffusion.losses(output, x0, xt, noise, t).vb
    # The tables are float32, and the divergence of close means loses some of their digits.
    torch.testing.assert_close(actual, expected, rtol=3e-4, atol=1e-7)


def test_bound_at_zero_is_the_discretised_likelihood_of_scipy(diffusion):
    t = torch.zeros(6, dtype=torch.int64)
    output, x0, xt, noise, t = make_inputs(diffusion, t)
    x0[0], x0[1, 0] = 1.0, -1.0  # black and white own the tails
    xt = diffusion.add_noise(x0, noise, t)
    predicted = predicted_normal(diffusion, output, xt, t)
    mean, scale = predicted.mean.numpy(), predicted.scale.numpy()
    level = ((x0 + 1) * 127.5).round().numpy()
    upper = np.where(level == 255, np.inf, (level + 0.5) / 127.5 - 1)
    lower = np.where(level == 0, -np.inf, (level - 0.5) / 127.5 - 1)
    mass = stats.norm.cdf(upper, mean, scale) - stats.norm.cdf(lower, mean, scale)
    expected = -np.log2(mass).mean(axis=(1, 2, 3))
    actual = diffusion.losses(output, x0, xt, noise, t).vb.numpy()
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=1e-7)
    assert expected.min() > 1e-3  # there is something to compare


@pytest.mark.parametrize("deviation", [0.005, 0.01, 0.1])
def test_likelihood_of_a_pixel_has_the_exact_distribution_function(deviation):
    """The public DiT code's tanh in its place would be off by more than 1e-4 here."""
    pixels = np.arange(256) / 127.5 - 1
    mean = np.clip(pixels + deviation * np.linspace(-2, 2, 256), -1, 1)

    def nats(cdf: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        upper = np.where(pixels > 0.999, 1, cdf((pixels - mean + 1 / 255) / deviation))
        lower = np.where(pixels < -0.999, 0, cdf((pixels - mean - 1 / 255) / deviation))
        return -np.log(upper - lower)

    log_scale = torch.tensor(math.log(deviation), dtype=torch.float64)
    images = torch.from_numpy(pixels), torch.from_numpy(mean)
    actual = -_discretised_log_likelihood(*images, log_scale).numpy()
    exact = nats(stats.norm.cdf)
    np.testing.assert_allclose(actual, exact, rtol=1e-9)

    def logistic(x: np.ndarray) -> np.ndarray:
        return 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    assert abs(nats(logistic) / exact - 1).max() > 1e-4


@pytest.mark.parametrize("mean", [-1.3, -1.0, -0.2, 0.004, 0.9999])
@pytest.mark.parametrize("position", [-1.0, 1.0])
def test_probabilities_of_all_pixel_values_sum_to_one(diffusion, mean, position):
    """256 images, each of one pixel value, and one prediction for them all."""
    x0 = (torch.arange(256, dtype=torch.float64) / 127.5 - 1).reshape(-1, 1, 1, 1)
    t = torch.zeros(256, dtype=torch.int64)
    # With no noise predicted, the mean at t = 0 is x_t over the signal.
    xt = torch.full_like(x0, mean) * bars(diffusion, t)[0].sqrt()
    output = torch.cat([torch.zeros_like(x0), torch.full_like(x0, position)], dim=1)
    bits = diffusion.losses(output, x0, xt, torch.zeros_like(x0), t).vb
    assert torch.exp2(-bits).sum().item() == pytest.approx(1, abs=1e-9)


def test_bound_of_the_best_variance_and_mean_is_zero(diffusion):
    """The true noise and the posterior's own variance leave nothing to explain."""
    _, x0, xt, noise, t = make_inputs(diffusion, torch.arange(1, T, 9))
    output = torch.cat([noise, -torch.ones_like(noise)], dim=1)
    losses = diffusion.losses(output, x0, xt, noise, t)
    assert torch.equal(losses.mse, torch.zeros(len(t), dtype=torch.float64))
    assert losses.vb.abs().max() < 1e-6


# -- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("timestep", [0, 1, 500, 999])
def test_bound_trains_the_variance_and_never_the_noise(diffusion, timestep):
    output, x0, xt, noise, t = make_inputs(diffusion, torch.full((3,), timestep))
    output.requires_grad_()
    (gradient,) = torch.autograd.grad(diffusion.losses(output, x0, xt, noise, t).vb.sum(), output)
    assert torch.equal(gradient[:, :2], torch.zeros(3, *SHAPE, dtype=torch.float64))
    assert (gradient[:, 2:].abs() > 0).all()


def test_mse_trains_the_noise_alone(diffusion):
    output, x0, xt, noise, t = make_inputs(diffusion, torch.tensor([0, 10, 999]))
    output.requires_grad_()
    (gradient,) = torch.autograd.grad(diffusion.losses(output, x0, xt, noise, t).mse.sum(), output)
    expected = 2 * (output[:, :2] - noise) / math.prod(SHAPE)
    torch.testing.assert_close(gradient[:, :2], expected.detach(), rtol=1e-12, atol=0)
    assert not gradient[:, 2:].any()


# -- robustness -----------------------------------------------------------------------------------


@hypothesis_settings(max_examples=30, deadline=None)
@given(data=st.data(), schedule=st.sampled_from(SCHEDULES), seed=st.integers(0, 2**31))
def test_permuting_the_batch_permutes_the_losses(data, schedule, seed):
    timesteps = data.draw(st.lists(st.integers(0, T - 1), min_size=1, max_size=6))
    order = data.draw(st.permutations(range(len(timesteps))))
    diffusion = DIFFUSIONS[schedule]
    inputs = make_inputs(diffusion, torch.tensor(timesteps), seed)
    losses = diffusion.losses(*inputs)
    permuted = diffusion.losses(*(value[order] for value in inputs))
    for before, after in zip(losses, permuted, strict=True):
        torch.testing.assert_close(after, before[order], rtol=1e-12, atol=0)


@pytest.mark.parametrize("extreme", [-5.0, 0.0, 5.0])
@pytest.mark.parametrize("position", [-5.0, 0.0, 5.0])
def test_losses_and_gradients_are_finite_at_every_timestep(diffusion, extreme, position):
    """In float32, as in training."""
    t = torch.arange(T)
    _, x0, xt, noise, _ = (value.float() for value in make_inputs(diffusion, t))
    output = torch.cat([torch.full_like(noise, extreme), torch.full_like(noise, position)], dim=1)
    output.requires_grad_()
    losses = diffusion.losses(output, x0, xt, noise, t)
    assert losses.mse.dtype == losses.vb.dtype == torch.float32
    assert losses.mse.isfinite().all()
    assert losses.vb.isfinite().all()
    (gradient,) = torch.autograd.grad(losses.mse.sum() + losses.vb.sum(), output)
    assert gradient.isfinite().all()


def test_float32_losses_agree_with_double(diffusion):
    inputs = make_inputs(diffusion, torch.arange(0, T, 3))
    exact = diffusion.losses(*inputs)
    rounded = diffusion.losses(*(value.float() for value in inputs[:-1]), inputs[-1])
    torch.testing.assert_close(rounded.mse.double(), exact.mse, rtol=1e-5, atol=0)
    torch.testing.assert_close(rounded.vb.double(), exact.vb, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("deviations", [-6, -5, 5, 6])
def test_float32_keeps_the_likelihood_of_unlikely_pixels(diffusion, deviations):
    """Far out, the distribution function is 0 or 1 to float32, and its differences are lost."""
    t = torch.zeros(1, dtype=torch.int64)
    x0, noise = torch.full((1, 1, 1, 1), 1 / 255), torch.zeros(1, 1, 1, 1)
    output = torch.cat([noise, -torch.ones(1, 1, 1, 1)], dim=1)
    scale = diffusion.posterior(x0, x0, t)[1].exp().sqrt()
    xt = (x0 - deviations * scale) * bars(diffusion, t)[0].sqrt().float()
    exact = diffusion.losses(output.double(), x0.double(), xt.double(), noise.double(), t).vb
    actual = diffusion.losses(output, x0, xt, noise, t).vb
    assert 15 < exact.item() < 35
    torch.testing.assert_close(actual.double(), exact, rtol=1e-4, atol=0)


def test_no_operation_of_the_losses_differs_between_processors(diffusion):
    inputs = [value.float() for value in make_inputs(diffusion, torch.arange(0, T, 3))[:-1]]
    with OnlyPortable():
        output = inputs[0].requires_grad_()
        losses = diffusion.losses(output, *inputs[1:], torch.arange(0, T, 3))
        (losses.mse.sum() + losses.vb.sum()).backward()


def test_diffusion_has_nothing_to_save():
    assert DIFFUSIONS["linear"].state_dict() == {}


@pytest.mark.parametrize("timesteps", [0, 1])
def test_too_few_timesteps_are_an_error(timesteps):
    with pytest.raises(DMPError, match=f"diffusion.timesteps = {timesteps}"):
        Diffusion("linear", timesteps)
