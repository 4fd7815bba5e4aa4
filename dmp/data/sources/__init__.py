"""Datasets on disk, in the formats in which they are distributed."""
