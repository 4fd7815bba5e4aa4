"""Dividing a run's samples among jobs, so that together they are exactly the undivided ones."""

from typing import NamedTuple

from dmp.errors import DMPError


class Shard(NamedTuple):
    """The ``number``-th of ``of`` parts, counted from 1."""

    number: int
    of: int

    def numbers(self, count: int, batch_size: int) -> range:
        """Return which of ``count`` samples this part is: whole batches, as evenly as they go.

        A sample's noise does not depend on its batch, but the last bit of float rounding does:
        with the batches that one job would make, the parts have its bits. A part may be empty.

        Raises:
            DMPError: no such part.
        """
        if not 1 <= self.number <= self.of:
            raise DMPError(f"shard {self.number} of {self.of}: accepted are 1 to {self.of}")
        batches = -(-count // batch_size)
        first, last = (batches * k // self.of for k in (self.number - 1, self.number))
        return range(min(first * batch_size, count), min(last * batch_size, count))
