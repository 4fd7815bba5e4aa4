"""Reads ``ablations/`` and expands it to the unique runs that the studies need; no torch."""

from dmp.extras import needs

needs("bench", "yaml")

from dmp.studies.plan import Plan
from dmp.studies.resolving import load_plan
from dmp.studies.schema import Cell, Comparison, Scale, Study

__all__ = ["Cell", "Comparison", "Plan", "Scale", "Study", "load_plan"]
