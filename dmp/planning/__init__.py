"""What a scale costs before any of it is run: GPU-hours, disk, wall time, and what to run first.

Read in this order: :mod:`~dmp.planning.flops` (arithmetic of a network),
:mod:`~dmp.planning.throughput` (what GPUs are able to do, and what was measured on them),
:mod:`~dmp.planning.cost` (the jobs of a plan and what each takes), :mod:`~dmp.planning.tables`
(what each table adds, and in which order), :mod:`~dmp.planning.report`. No torch.
"""

from dmp.planning.report import plan_scale

__all__ = ["plan_scale"]
