# What the rules share: the settings of this call, where files are, and what jobs are made from.
import sys

from dmp.sweeps.files import PLOTS, SweepFiles
from dmp.workflow.inputs import Inputs
from dmp.workflow.outdated import Recognition
from dmp.workflow.resources import Needs
from dmp.workflow.scales import Scales, clear_errors
from dmp.workflow.settings import read_settings
from dmp.workflow.sweeps import Sweeps
from dmp.workflow.wildcards import given

with clear_errors():
    settings = read_settings(config)
SCALE = settings.scale
scales = Scales(settings)
inputs = Inputs(scales)
sweeps = Sweeps(scales, inputs)
needs = Needs(scales)
recognition = Recognition(
    scales,
    sweeps,
    plans_jobs=workflow.is_main_process and not {"--unlock", "--lint"} & set(sys.argv),
)
outdated = recognition.outdated
outdated_sweep = recognition.outdated_sweep

# Options that every call of the command line gets.
where = given(scales.options)
threads_of = given(needs.threads)

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
