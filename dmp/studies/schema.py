"""What the files under ``ablations/`` may say."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dmp.config import Strict, TaskConfig, nearest
from dmp.config.numbers import Count, Factor, Few, Printed, Probability, Size, Value
from dmp.config.texts import Line
from dmp.errors import DMPError
from dmp.methods import find_method
from dmp.metrics.registry import find_metric
from dmp.numerics import Numerics
from dmp.studies.execution import Execution


def _known(metric: str) -> str:
    try:
        find_metric(metric)
    except DMPError as error:
        raise ValueError(str(error)) from error
    return metric


MetricName = Annotated[str, AfterValidator(_known)]
# Those of a study that names none.
METRICS = [
    "fid", "denoising_mse", "denoising_vb", "kid", "precision", "recall", "inception_score",
]  # fmt: skip


# It is the name of a folder, and stands in the rules' patterns.
TaskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]


class Cell(Strict):
    """One row of a study: a variant of a task, and what the paper reports for it.

    Attributes:
        task: a task of the scale.
        variant: see :class:`dmp.config.Variant`; canonical once the plan is made.
        label: how tables call it; the variant's name if empty.
        paper: metric to the paper's number; as text where its last digit is a zero.
        not_run: why the scale leaves the task out; set by the plan.
        unmeasured: metrics that the task or the variant cannot have, and why; set by the plan.
    """

    task: str
    variant: str
    label: Line = ""
    paper: dict[MetricName, Value | Printed] = {}
    not_run: str | None = None
    unmeasured: dict[str, str] = {}


class Comparison(Strict):
    """A paired difference ``variant - against``; without a task, in every task that has both."""

    variant: str
    against: str
    task: str | None = None


class FigureSpec(Strict):
    """A figure of a study.

    Attributes:
        kind: a file in :mod:`dmp.reporting.figures.kinds`, or of another package.
        task: one task; every task of the study that is run, if left out.
    """

    kind: str
    task: str | None = None
    options: dict[str, Any] = {}


Target = Literal["tables", "studies"]


class Study(Strict):
    """One table or figure: what is run, what is compared, what the paper says.

    Attributes:
        id: the name of the file.
        target: ``tables`` for what the paper shows, ``studies`` for what is asked beyond it.
        scales: those that it is for, where it needs tasks that others do not have; all if empty.
        title: the table's heading.
        source: where the paper's numbers stand.
        metrics: the first is the primary endpoint.
        comparisons: the differences that are tested, corrected together.
        variance: a pair of variants whose variances are taken apart; see
            :mod:`dmp.statistics.variance`.
        baselines: whether each baseline is listed, with what decaying its rate still gains.
        notes: printed below the table.
    """

    id: str
    title: Line
    source: str = ""
    kind: Literal["runs"] = "runs"
    target: Target = "studies"
    scales: list[str] = []
    metrics: Annotated[list[MetricName], Field(min_length=1)] = METRICS
    cells: Annotated[list[Cell], Field(min_length=1)]
    comparisons: list[Comparison] = []
    figures: list[FigureSpec] = []
    variance: Comparison | None = None
    baselines: bool = False
    notes: list[str] = []

    @model_validator(mode="after")
    def _lists_each_once(self) -> Self:
        figures = [f"{each.kind} of {each.task or 'every task'}" for each in self.figures]
        given = {"metrics": self.metrics, "scales": self.scales, "figures": figures}
        for key, names in given.items():
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"{key}: '{twice[0]}' is given twice")
        return self


class ParameterCell(Strict):
    """One backbone of the paper, built at its real size, and what the paper reports for it.

    Attributes:
        size: a published DiT size.
        patch_size: edge of a patch in latent pixels.
        classes: rows of the label embedding, the null row not counted; 1 if unconditional.
        label_dropout: above 0, the label embedding has a null row.
        nominal_millions: the rounded backbone size from which the paper computes its percentages.
        paper_dmp: the paper's size with DMP, as printed.
        paper_increase: the paper's increase in percent, as printed.
    """

    size: Literal["S", "B", "L", "XL"]
    patch_size: Size
    classes: Count = 1
    label_dropout: Probability = 0.0
    nominal_millions: Factor
    paper_dmp: str
    paper_increase: str


class ParameterStudy(Strict):
    """A table of parameter counts, computed from real modules; it needs no run.

    Attributes:
        input_size, channels: of the latent image.
        (others): as for :class:`Study`.
    """

    id: str
    title: Line
    source: str
    kind: Literal["parameters"]
    target: Target = "studies"
    input_size: Size
    channels: Size
    cells: Annotated[list[ParameterCell], Field(min_length=1)]
    notes: list[str] = []

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        for number, cell in enumerate(self.cells):
            if self.input_size % cell.patch_size:
                raise ValueError(
                    f"cells.{number}.patch_size = {cell.patch_size} does not divide input_size = "
                    f"{self.input_size}"
                )
        return self


class Affords(Strict):
    """What a scale has time for, where that is not everything.

    Attributes:
        reason: why it is not; tables and verdicts give it in place of what is left out.
        studies: those that are run. A claim is tested if its study is one of them.
        methods: those whose cells are run.
    """

    reason: str
    studies: Annotated[list[str], Field(min_length=1)]
    methods: Annotated[list[str], Field(min_length=1)]

    @model_validator(mode="after")
    def _methods_exist(self) -> Self:
        for name in self.methods:
            try:
                find_method(name)
            except DMPError as error:
                raise ValueError(str(error)) from error
        return self


class Scale(Strict):
    """How big: binds each task of the paper to data, backbone and sizes.

    Attributes:
        name: the name of the file.
        title: for the tables.
        conclusive: False where the sizes are too small for any conclusion; the tables say so.
        seeds: seeds per variant; seed k of every variant shares data order and noise.
        baseline_seeds: how many baselines are trained, if not one for each seed: seed k rests on
            baseline ``k mod baseline_seeds``, so that more seeds never change the baseline of
            earlier ones. Nothing is said of other baselines than those that were trained.
        first_seed: the lowest seed, for fresh replications.
        precision: of training and sampling.
        numerics: ``portable`` computes the same bits on every x86-64 processor with AVX2, with one
            thread per job; ``native`` takes the fastest kernels of the machine. See
            :mod:`dmp.numerics`.
        not_run: tasks that this scale leaves out, and why.
        affords: the studies and methods that it does not leave out; None for all.
    """

    name: str
    title: Line
    conclusive: bool = True
    seeds: Few
    baseline_seeds: Few | None = None
    first_seed: Annotated[int, Field(ge=0, le=10**9)] = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    numerics: Numerics = "native"
    execution: Execution = Execution()
    tasks: Annotated[dict[TaskName, TaskConfig], Field(min_length=1)]
    not_run: dict[TaskName, str] = {}
    affords: Affords | None = None

    @model_validator(mode="after")
    def _portable_has_one_thread(self) -> Self:
        # Sums are split among threads, and their number would decide the last bits.
        if self.numerics == "portable" and self.execution.threads > 1:
            raise ValueError(
                f"numerics = portable needs execution.threads = 1, not {self.execution.threads}; "
                f"several jobs use several cores"
            )
        return self

    @model_validator(mode="after")
    def _tasks_are_run_or_not(self) -> Self:
        both = sorted(self.tasks.keys() & self.not_run.keys())
        if both:
            raise ValueError(
                f"not_run: '{both[0]}' is among the tasks; leave it out of one of them"
            )
        return self

    @model_validator(mode="after")
    def _samples_suffice_for_all_jobs(self) -> Self:
        shards = self.execution.sampling_shards
        for name, task in self.tasks.items():
            if shards > task.sampling.samples:
                raise ValueError(
                    f"execution.sampling_shards = {shards} is more than the "
                    f"{task.sampling.samples} of tasks.{name}.sampling.samples"
                )
        return self

    @model_validator(mode="after")
    def _limits_are_of_tasks(self) -> Self:
        for name in self.execution.batch_limits:
            if name not in self.tasks:
                raise ValueError(
                    f"execution.batch_limits: unknown task '{name}': {nearest(name, self.tasks)}"
                )
        return self
