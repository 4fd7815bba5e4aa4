"""The hybrid loss: squared error of the noise, and the variational bound for the variance."""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from dmp.config import TaskConfig
from dmp.diffusion.schedule import alphas_cumprod, tables
from dmp.errors import DMPError

LEVELS = 256  # pixel values of an image


class Losses(NamedTuple):
    """Losses per image.

    Attributes:
        mse: ``(B,)``, squared error of the predicted noise, averaged over C, H and W.
        vb: ``(B,)``, the timestep's term of the variational bound, in bits per dimension; None
            where no variance is learned.
    """

    mse: Tensor
    vb: Tensor | None


class Diffusion(nn.Module):
    r"""The forward process :math:`q(x_t | x_0) = N(\sqrt{\bar\alpha_t} x_0, (1-\bar\alpha_t) I)`.

    Args:
        schedule: ``linear``, ``cosine`` or ``scaled-linear``.
        timesteps: T, at least 2.
        learned_variance: whether models of the reverse process predict its variance; see
            :meth:`losses`.

    Raises:
        DMPError: unknown schedule, or too few timesteps.
    """

    def __init__(self, schedule: str, timesteps: int = 1000, learned_variance: bool = True) -> None:
        super().__init__()
        if timesteps < 2:
            raise DMPError(f"diffusion.timesteps = {timesteps}: at least 2 are needed")
        self.schedule, self.timesteps = schedule, timesteps
        self.learned_variance = learned_variance
        for name, values in tables(alphas_cumprod(schedule, timesteps))._asdict().items():
            # float32 so that every device has them; computed in float64 first.
            self.register_buffer(f"_{name}", torch.from_numpy(values).float(), persistent=False)

    @classmethod
    def of(cls, task: TaskConfig) -> Self:
        """Return a task's forward process."""
        config = task.diffusion
        return cls(config.schedule, config.timesteps, task.backbone.learns_variance)

    def _at(self, name: str, t: Tensor) -> Tensor:
        values: Tensor = getattr(self, f"_{name}").to(t.device)
        return values[t][:, None, None, None]

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        r"""Return :math:`x_t = \sqrt{\bar\alpha_t} x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon`."""
        return self._at("signal", t) * x0 + self._at("noise", t) * noise

    def posterior(self, x0: Tensor, xt: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return mean and log-variance of :math:`q(x_{t-1} | x_t, x_0)` (Ho et al., Eq. 7)."""
        mean = self._at("posterior_x0", t) * x0 + self._at("posterior_xt", t) * xt
        return mean, self._at("posterior_log", t)

    def losses(self, output: Tensor, x0: Tensor, xt: Tensor, noise: Tensor, t: Tensor) -> Losses:
        r"""Return the two parts of the hybrid loss, or the first where no variance is learned.

        The bound trains the variance alone: its gradient does not reach the predicted noise
        (Nichol & Dhariwal 2021, Sec. 3.1). The variance interpolates, in logs, between
        :math:`\tilde\beta_t` and :math:`\beta_t` (their Eq. 15).

        At t = 0 the bound is the likelihood of the pixel values, from the normal distribution
        function itself. The public DiT code, and with it the authors', has a tanh approximation
        of that function in its place; its term at t = 0 differs from this one by 1.7e-4 to 6.8e-3
        of its value, and the terms at all other timesteps agree.

        Args:
            output: ``(B, 2C, H, W)``, predicted noise and position of the variance in [-1, 1];
                ``(B, C, H, W)``, the noise, where no variance is learned.
            x0: ``(B, C, H, W)`` in [-1, 1].
            xt: ``(B, C, H, W)``, what ``output`` was predicted from.
            noise: ``(B, C, H, W)``.
            t: ``(B,)`` int64.

        Raises:
            DMPError: ``output`` has another number of channels.
        """
        channels = x0.shape[1] * (2 if self.learned_variance else 1)
        if output.shape[1] != channels:
            raise DMPError(
                f"the backbone predicts {output.shape[1]} channels of images with {x0.shape[1]}; "
                f"{channels} are needed {'with' if self.learned_variance else 'without'} a learned "
                f"variance"
            )
        if not self.learned_variance:
            return Losses((noise - output).square().mean(dim=(1, 2, 3)), None)
        epsilon, position = output.chunk(2, dim=1)
        mse = (noise - epsilon).square().mean(dim=(1, 2, 3))

        low, high = self._at("posterior_log", t), self._at("beta_log", t)
        share = (position + 1) / 2
        log_variance = share * high + (1 - share) * low
        frozen = epsilon.detach()
        predicted = (xt - self._at("noise", t) * frozen) / self._at("signal", t)
        mean, _ = self.posterior(predicted, xt, t)
        true_mean, true_log_variance = self.posterior(x0, xt, t)
        divergence = _kl(true_mean, true_log_variance, mean, log_variance)
        decoder = -_discretised_log_likelihood(x0, mean, 0.5 * log_variance)
        nats = torch.where(t[:, None, None, None] == 0, decoder, divergence)
        return Losses(mse, nats.mean(dim=(1, 2, 3)) / math.log(2))


def _kl(mean1: Tensor, log_variance1: Tensor, mean2: Tensor, log_variance2: Tensor) -> Tensor:
    """KL divergence between diagonal Gaussians, in nats, element by element."""
    difference = log_variance1 - log_variance2
    squared = (mean1 - mean2).square() * torch.exp(-log_variance2)
    return 0.5 * (difference.exp() - difference - 1 + squared)


def _discretised_log_likelihood(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log-probability of pixel values under a Gaussian, in nats (Ho et al. 2020, Eq. 13).

    Each pixel value owns an interval of width 2/255; the outermost reach to infinity. The
    distribution function is exact; see :meth:`Diffusion.losses`.
    """
    half = 1 / (LEVELS - 1)
    inverse = torch.exp(-log_scale)
    # In double: differences of the distribution function cancel almost all digits of a float.
    above = torch.special.ndtr(((x - mean + half) * inverse).double())
    below = torch.special.ndtr(((x - mean - half) * inverse).double())
    one, zero = torch.ones_like(above), torch.zeros_like(below)
    above = torch.where(x > 1 - half / 2, one, above)
    below = torch.where(x < -1 + half / 2, zero, below)
    # The logarithm of a double is MKL's, and rounds by the processor; that of a float does not.
    return (above - below).clamp(min=1e-12).to(x.dtype).log()
