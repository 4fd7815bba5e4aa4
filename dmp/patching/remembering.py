"""What a patch keeps of its calls, and what is read from it: weights, losses, what arrived."""

import torch
from torch import Tensor, nn

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.patching.calls import Calls, Kept
from dmp.patching.losses import balancing


class Remembering(nn.Module):
    """The part of a patch that is about its last call in this thread."""

    config: PatchConfig
    _calls: Calls

    @property
    def noise(self) -> Tensor | None:
        """Standard normal ``(B, L, K)``, for this thread's next calls; see above."""
        return self._calls.noise

    @noise.setter
    def noise(self, noise: Tensor | None) -> None:
        self._calls.noise = noise

    @property
    def keep_weights(self) -> bool:
        """Whether :meth:`weights` works outside training as well; setting False drops them."""
        return self._calls.keep

    @keep_weights.setter
    def keep_weights(self, keep: bool) -> None:
        self._calls.keep = keep
        if not keep:
            self._calls.forget()

    def _kept(self) -> Kept:
        kept = self._calls.kept
        if kept is None:
            raise DMPError(
                "patch: nothing was kept of a forward pass in this thread; outside training, set "
                "keep_weights = True before the model is called"
            )
        return kept

    def weights(self) -> list[Tensor]:
        """Return the weights of each patched block's prompts in this thread's last forward pass.

        Each is ``(B, K_i)``; there are none if the gate has no weights. They are kept until the
        next one, in training or where ``keep_weights`` is set.

        Raises:
            DMPError: they were not kept.
        """
        return [weighting.applied for weighting in self._kept().weightings.values()]

    def balancing(self) -> tuple[Tensor, dict[str, Tensor]] | None:
        """Return the balancing losses of the last forward pass; None if nothing has weights.

        See :func:`dmp.patching.losses.balancing`.

        Raises:
            DMPError: the weights were not kept, as for :meth:`weights`; or they have no gradients,
                though gradients are enabled.
        """
        kept = self._kept()
        if not kept.weightings:
            return None
        if torch.is_grad_enabled() and not kept.gradients:
            raise DMPError(
                "patch: the balancing losses would have no gradient: the model was called without "
                "gradients, or under reentrant activation checkpointing; accepted: "
                "use_reentrant=False"
            )
        return balancing(list(kept.weightings.values()), self.config)

    def arrived(self) -> Tensor | None:
        """Return the share of the prompts' contribution that arrived in the last forward pass.

        In a half-precision stream of tokens what is small beside them may be rounded away; see
        :mod:`dmp.patching.half`.

        Returns:
            A scalar; None if all blocks got tokens in float32.

        Raises:
            DMPError: it was not kept, as for :meth:`weights`.
        """
        return self._kept().share
