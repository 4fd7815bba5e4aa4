"""What a scale costs before any of it is run: GPU-hours, disk, wall time, and what fits a budget.

Read in this order: :mod:`~dmp.planning.counting` (arithmetic and parameters of real modules),
:mod:`~dmp.planning.throughput` (what GPUs are able to do, and what was measured on them),
:mod:`~dmp.planning.rates` (from arithmetic to seconds), :mod:`~dmp.planning.cost` (the jobs of a
plan and what each takes), :mod:`~dmp.planning.tables`, :mod:`~dmp.planning.report`.
"""

from dmp.extras import needs

needs("bench", "pandas")

from dmp.planning.report import plan_scale

__all__ = ["plan_scale"]
