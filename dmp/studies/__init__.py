"""Reads ``ablations/`` and expands it to the unique runs that the studies need; no torch."""

from dmp.studies.plan import Plan, load_plan
from dmp.studies.schema import Cell, Claim, Comparison, Scale, Study

__all__ = ["Cell", "Claim", "Comparison", "Plan", "Scale", "Study", "load_plan"]
