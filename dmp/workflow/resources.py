"""What a job asks for, by its scale."""

import functools
from collections.abc import Callable

from dmp.running.launch import training_gpus
from dmp.studies.execution import TRAINING, Resources
from dmp.workflow.scales import Scales
from dmp.workflow.wildcards import Wildcards

Asked = Callable[..., int]
# Snakemake gives a job what there is.
ALL_CORES = 1_000_000


class Needs:
    """Threads, GPUs, memory and minutes of jobs."""

    def __init__(self, scales: Scales) -> None:
        self.scales = scales
        self._resources = functools.cache(self._needed)

    def threads(self, scale: str) -> int:
        """Return the CPU threads of a job."""
        return self.scales.plan(scale).scale.execution.threads

    def alone(self, scale: str) -> int:
        """Return the threads of a local job that must not have others beside it.

        It uses no more than any other job. Where nothing may be concluded, it may be disturbed.
        """
        return ALL_CORES if self.scales.plan(scale).scale.conclusive else self.threads(scale)

    def of(self, stage: str) -> dict[str, Asked]:
        """Return what the rule of a stage has under ``resources``.

        A training that runs out of time goes on in the next try; anything else gets more of it,
        and more memory.
        """

        def asked(key: str, wildcards: Wildcards, attempt: int) -> int:
            names = (wildcards.task, wildcards.variant) if stage == "train" else ()
            needed = self._resources(stage, wildcards.scale, *names)
            gpus, share = needed.gpus or 0, needed.gpu_share or 100
            if key == "gpu":
                return gpus
            if key == "gpu_share":
                # Percent of one GPU: what jobs on one machine are counted with.
                return share * gpus if gpus < 2 else 100 * gpus
            return getattr(needed, key) * (1 if stage in TRAINING else attempt)

        # Snakemake looks at the names of the parameters that are left.
        keys = ("gpu", "gpu_share", "mem_mb", "runtime")
        return {key: functools.partial(asked, key) for key in keys}

    def _needed(self, stage: str, scale: str, task: str = "", variant: str = "") -> Resources:
        plan = self.scales.plan(scale)
        needed = plan.scale.execution.resources(stage)
        if stage != "train":
            return needed
        # A training that cannot be shared among processes uses one GPU.
        losses = plan.run(task, variant, plan.seeds[0]).batch_losses
        return needed.model_copy(update={"gpus": training_gpus(needed, losses)})
