"""Readers of datasets on disk: a format is one module here, which nobody else has to name."""
