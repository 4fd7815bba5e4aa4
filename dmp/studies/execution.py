"""How a scale is run, and what jobs ask of a machine; numbers depend on it by rounding at most."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dmp.config import Strict
from dmp.config.numbers import Count, Few

Stage = Literal[
    "check", "extractor", "reference", "captions", "latents", "pretrain", "converge", "train",
    "sample", "merge", "evaluate", "run", "speed",
]  # fmt: skip

# The stages that several GPUs can share; the others use one, or many jobs.
TRAINING = ("pretrain", "train")
WITHOUT_GPU = ("check", "merge")


class Resources(Strict):
    """What one job needs; for a stage, what is left out is as for the others.

    Attributes:
        gpus: how many; more than 1 only in training.
        gpu_share: percent of its one GPU that a job may be counted with, in steps of 25.
        mem_mb: main memory.
        runtime: minutes. Training is stopped by then, and goes on in the next try; whatever else
            needs longer gets more with each try.
    """

    gpus: Annotated[int, Field(ge=0, le=1000)] | None = None
    gpu_share: Annotated[int, Field(ge=1, le=100)] | None = None
    mem_mb: Count | None = None
    runtime: Count | None = None


class Execution(Strict):
    """How the workflow runs things; nothing here changes a number beyond float rounding.

    Attributes:
        job: ``bundle`` does all stages of several runs of a task in one process, which saves the
            start-up of Python where training takes seconds; ``stage`` makes each stage of each run
            a job of its own.
        variants_per_job: for ``bundle``. A job computes what is not there yet of its runs.
        seeds_per_job: for ``bundle``; likewise.
        threads: CPU threads of a job.
        compile: whether the blocks of a DiT go through ``torch.compile`` where they are computed on
            a GPU; on a CPU nothing is compiled. Compiled code rounds differently.
        sampling_batch_size: images sampled at once.
        batch_limits: by task, how many images its backbone is given at once outside of training,
            where memory holds fewer than otherwise.
        latents_jobs: jobs among which a dataset's latents are divided.
        kept_samples: images of a run's samples that are kept, beside the features of all.
        sampling_shards: for ``stage``: jobs among which the samples of a run are divided.
        gpus: GPUs of a training job; every other computing job gets one if this is not 0. With 0,
            nothing is asked for, and a GPU that is there is used.
        gpu_share, mem_mb, runtime: see :class:`Resources`.
        stages: what differs for a stage; ``run`` is the one job that does all stages.
    """

    job: Literal["bundle", "stage"] = "bundle"
    variants_per_job: Count = 1
    seeds_per_job: Count = 3
    threads: Few = 1
    compile: bool = False
    sampling_batch_size: Count = 256
    batch_limits: dict[str, Count] = {}
    latents_jobs: Count = 1
    kept_samples: Count = 10_000
    sampling_shards: Count = 1
    gpus: Annotated[int, Field(ge=0, le=1000)] = 0
    gpu_share: Annotated[int, Field(ge=1, le=100)] = 100
    mem_mb: Count = 3000
    runtime: Count = 60
    stages: dict[Stage, Resources] = {}

    @model_validator(mode="after")
    def _several_gpus_are_for_training(self) -> Self:
        for stage, resources in self.stages.items():
            if stage not in TRAINING and (resources.gpus or 0) > 1:
                raise ValueError(
                    f"stages.{stage}.gpus = {resources.gpus}: only {' and '.join(TRAINING)} "
                    f"can use more than one"
                )
        return self

    def at_once(self, task: str, size: int | None = None) -> int:
        """Return how many images a task's backbone is given at once outside of training.

        Args:
            size: what memory usually holds; ``sampling_batch_size`` if None.
        """
        size = self.sampling_batch_size if size is None else size
        return min(size, self.batch_limits.get(task, size))

    def resources(self, stage: str) -> Resources:
        """Return what a job of a stage needs, every value given."""
        usual = self.model_dump(include={"gpu_share", "mem_mb", "runtime"})
        gpus = self.gpus if stage in TRAINING else min(self.gpus, 1)
        own = self.stages.get(stage, Resources()).model_dump(exclude_none=True)
        return Resources(**{"gpus": 0 if stage in WITHOUT_GPU else gpus, **usual, **own})
