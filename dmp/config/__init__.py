"""What a run is, as validated data; importable without torch, so that planning stays fast."""

from dmp.config.backbone import BackboneConfig, UNetConfig
from dmp.config.base import Strict, content_hash, did_you_mean, from_data, from_file, nearest
from dmp.config.data import ArchiveConfig, DownloadConfig, LatentsConfig, SourceConfig
from dmp.config.evaluation import EvaluationConfig, ExtractorConfig, SamplingConfig
from dmp.config.patch import PatchConfig
from dmp.config.run import DataConfig, DiffusionConfig, TaskConfig, TextConfig
from dmp.config.training import (
    BeginConfig,
    OptimizerConfig,
    PretrainingConfig,
    PublishedConfig,
    TrainingConfig,
)

__all__ = [
    "ArchiveConfig",
    "BackboneConfig",
    "BeginConfig",
    "DataConfig",
    "DiffusionConfig",
    "DownloadConfig",
    "EvaluationConfig",
    "ExtractorConfig",
    "LatentsConfig",
    "OptimizerConfig",
    "PatchConfig",
    "PretrainingConfig",
    "PublishedConfig",
    "SamplingConfig",
    "SourceConfig",
    "Strict",
    "TaskConfig",
    "TextConfig",
    "TrainingConfig",
    "UNetConfig",
    "content_hash",
    "did_you_mean",
    "from_data",
    "from_file",
    "nearest",
]
