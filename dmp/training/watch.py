"""Looking at a model while it trains."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Watch:
    """Somebody who looks at a model while it trains, and may end its training by an exception.

    Attributes:
        steps: iterations after which to look.
        look: called with the iteration and the backbone, patch attached, not in training mode. It
            changes nothing: a watched training ends as any other.
    """

    steps: Collection[int]
    look: Callable[[int, nn.Module], None]
