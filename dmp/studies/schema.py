"""What the files under ``ablations/`` may say."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from dmp.config import Strict, TaskConfig, nearest
from dmp.errors import DMPError
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
    label: str = ""
    paper: dict[MetricName, float | str] = {}
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
        options: what this kind of figure takes.

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
        cells: the rows.
        comparisons: the differences that are tested, corrected together.
        figures: drawn from the same runs.
        variance: a pair of variants whose variances are taken apart; see
            :mod:`dmp.statistics.variance`.
        baselines: whether each baseline is listed, with what decaying its rate still gains.
        notes: printed below the table.

    """

    id: str
    title: str
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


class ParameterCell(Strict):
    """One backbone of the paper, built at its real size, and what the paper reports for it.

    Attributes:
        size: a published DiT size: S, B, L or XL.
        patch_size: edge of a patch in latent pixels.
        classes: rows of the label embedding, the null row not counted; 1 if unconditional.
        label_dropout: above 0, the label embedding has a null row.
        nominal_millions: the rounded backbone size from which the paper computes its percentages.
        paper_dmp: the paper's size with DMP, as printed.
        paper_increase: the paper's increase in percent, as printed.

    """

    size: str
    patch_size: PositiveInt
    classes: PositiveInt = 1
    label_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nominal_millions: PositiveFloat
    paper_dmp: str
    paper_increase: str


class ParameterStudy(Strict):
    """A table of parameter counts, computed from real modules; it needs no run.

    Attributes:
        id: the name of the file.
        title: the table's heading.
        source: where the paper's numbers stand.
        input_size: height and width of the latent image.
        channels: channels of the latent image.
        target: as for :class:`Study`.
        cells: the rows.
        notes: printed below the table.

    """

    id: str
    title: str
    source: str
    kind: Literal["parameters"]
    target: Target = "studies"
    input_size: PositiveInt
    channels: PositiveInt
    cells: Annotated[list[ParameterCell], Field(min_length=1)]
    notes: list[str] = []


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
        execution: how it runs.
        tasks: the tasks.
        not_run: tasks that this scale leaves out, and why.

    """

    name: str
    title: str
    conclusive: bool = True
    seeds: PositiveInt
    baseline_seeds: PositiveInt | None = None
    first_seed: NonNegativeInt = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    numerics: Numerics = "native"
    execution: Execution = Execution()
    tasks: dict[str, TaskConfig]
    not_run: dict[str, str] = {}

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
    def _limits_are_of_tasks(self) -> Self:
        for name in self.execution.batch_limits:
            if name not in self.tasks:
                raise ValueError(
                    f"execution.batch_limits: unknown task '{name}': {nearest(name, self.tasks)}"
                )
        return self
