"""Datasets on disk, in the formats in which they are distributed."""

from dmp.data.sources.base import Source
from dmp.data.sources.coco import EvaluationCaption, evaluation_captions
from dmp.data.sources.findings import DamagedFileError, Finding
from dmp.data.sources.opening import open_source

__all__ = [
    "DamagedFileError",
    "EvaluationCaption",
    "Finding",
    "Source",
    "evaluation_captions",
    "open_source",
]
