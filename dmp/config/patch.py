"""The options of the method itself."""

from typing import Literal

from pydantic import Field, PositiveInt

from dmp.config.base import Strict


class PatchConfig(Strict):
    """How prompts are attached to a frozen backbone; the defaults are the preset ``paper``.

    Attributes:
        gate: ``linear`` weights the prompts by a gate that sees the timestep (Eq. 5); ``none``
            adds them as they are, which is naive prompt tuning (Eq. 4).
        selection: ``distinct`` feeds the gate ``[t; i]`` with the block index ``i``, so that each
            block gets weights of its own; ``uniform`` feeds ``t`` alone (Table 4c).
        depth: how many blocks, counted from the input, get prompts; ``half`` is rounded down.
        importance_weight: factor of the importance loss (Eqs. 9 and 10).
        load_weight: factor of the load loss (Eq. 10), which as written has no gradient.

    """

    gate: Literal["linear", "none"] = "linear"
    selection: Literal["distinct", "uniform"] = "distinct"
    depth: PositiveInt | Literal["half", "all"] = "all"
    importance_weight: float = Field(default=1.0, ge=0)
    load_weight: float = Field(default=1.0, ge=0)

    def blocks(self, available: int) -> int:
        """Return how many of ``available`` blocks get prompts.

        Raises:
            ValueError: more blocks are asked for than there are.

        """
        if self.depth == "all":
            return available
        if self.depth == "half":
            return max(1, available // 2)
        if self.depth > available:
            raise ValueError(
                f"depth = {self.depth}, but the backbone has {available} blocks; "
                f"accepted: 1 to {available}, 'half', 'all'"
            )
        return self.depth
