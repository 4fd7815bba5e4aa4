# What the rules share: the settings of this call, where files are, and what jobs are made from.
import functools
import sys

from snakemake.exceptions import WorkflowError

from dmp.errors import DMPError
from dmp.surroundings import settle_surroundings
from dmp.sweeps.files import SweepFiles
from dmp.workflow.inputs import Inputs
from dmp.workflow.outdated import Recognition
from dmp.workflow.recovery import forget_others, take_over
from dmp.workflow.resources import Needs
from dmp.workflow.scales import Scales
from dmp.workflow.settings import read_settings
from dmp.workflow.slurm import check_slurm
from dmp.workflow.sweeps import Sweeps
from dmp.workflow.wildcards import by_wildcards, keep_commas


def clear(function):
    """The function, with errors of ours as Snakemake prints them without a traceback."""

    @functools.wraps(function)
    def called(*arguments, **named):
        try:
            return function(*arguments, **named)
        except DMPError as error:
            raise WorkflowError(f"error: {error}") from None

    return called


def given(function, **known):
    """An input function: what another returns for wildcards that are named as its parameters."""
    return clear(by_wildcards(function, **known))


def outdated(*product):
    """An input function: a newer file where the product, by stage and wildcards, is outdated."""
    return clear(recognition.outdated(*product))


PROFILE_MISSING = (
    "warning: the settings of workflow/profiles/default are not in force (no profiles/default here, or "
    "--workflow-profile none): after a kill, give --rerun-incomplete"
)


def begin():
    """What comes before any job of this call is planned; returns whether it is a dry run."""
    check_slurm(workflow.executor_plugin.name if workflow.executor_plugin else "")
    take_over(register=not workflow.dryrun)
    if not workflow.dag_settings.force_incomplete:
        print(PROFILE_MISSING, file=sys.stderr)
    return workflow.dryrun


keep_commas()
clear(settle_surroundings)()
settings = clear(read_settings)(config, arguments=workflow.config_settings.config_args)
SCALE = settings.scale
scales = Scales(settings)
# A mistake in the scale or a study is known before any job is planned.
clear(scales.plan)(SCALE)
if workflow.is_main_process:
    clear(scales.check_figures)(SCALE)
inputs = Inputs(scales)
sweeps = Sweeps(scales, inputs)
needs = Needs(scales)
recognition = Recognition(
    scales,
    sweeps,
    plans_jobs=workflow.is_main_process and not {"--unlock", "--lint"} & set(sys.argv),
    begin=begin,
)
if "--unlock" in sys.argv:
    forget_others()

# Options that every call of the command line gets.
where = given(scales.options)
threads_of = given(needs.threads)
# What is timed would be timed with whatever else this machine does; a batch system gives it cores.
threads_of_timing = given(needs.alone if workflow.local_exec else needs.threads)

# Files with wildcards, for the outputs of rules.
FILES = scales.layout("{scale}")
SWEEP = SweepFiles(FILES, "{sweep}")
RUN = ("{task}", "{variant}", "{seed}")


wildcard_constraints:
    scale=r"[\w-]+",
    task=r"[\w-]+",
    variant=r"[\w.,=+-]+",
    seed=r"\d+",
    study=r"[\w-]+",
    scope=r"[\w-]+",
    target=r"tables|studies",
    shard=r"\d+",
    of=r"\d+",
    sweep=r"[\w-]+",
    worker=r"\d+",
    point=r"\d+",
