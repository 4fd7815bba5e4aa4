"""The oracle of closed forms of cost: what PyTorch counts."""

from collections.abc import Callable

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def counted(compute: Callable[[], object]) -> int:
    """Return the multiply-accumulates of a computation, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        compute()
    return counter.get_total_flops() // 2
