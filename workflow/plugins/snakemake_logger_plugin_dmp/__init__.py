"""Snakemake finds loggers by the name of their package: this one is ``--logger dmp``."""

from dmp.workflow.terminal import Terminal as LogHandler

__all__ = ["LogHandler"]
