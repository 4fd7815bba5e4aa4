"""The kinds of figures, one file each; see :mod:`dmp.reporting.figures.registry`."""
