# Every table and figure of the paper, re-measured, and a verdict on each of its claims.
#
#     snakemake --cores all tables                          at the default scale, digits
#     snakemake --cores all tables studies                  and our own questions
#     snakemake --cores all tables --config scale=smoke     at another scale
#     snakemake --profile slurm tables                      on a cluster
#
# ablations/ says what is compared, the package dmp how it is computed; the rules only say which file
# comes from which.
from snakemake.utils import min_version

min_version("9.0")


# What `snakemake --report` begins with.
report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/sweep.smk"


localrules:
    tables,
    studies,
    sweep,
    smoke,
    mlflow,


rule tables:
    default_target: True
    input:
        given(inputs.tables, scale=SCALE),
    message:
        "All tables, figures and verdicts of scale {SCALE} are in results/{SCALE}"


rule studies:
    input:
        given(inputs.studies, scale=SCALE),
    message:
        "All studies of scale {SCALE} are in results/{SCALE}/tables and results/{SCALE}/figures"


rule sweep:
    input:
        given(sweeps.pages, scale=SCALE),
    message:
        "All sweeps of scale {SCALE} are in results/{SCALE}/sweeps"


rule smoke:
    input:
        given(inputs.tables, scale="smoke"),
        given(inputs.studies, scale="smoke"),
    message:
        "Every table, figure and study of scale smoke is in results/smoke"


rule mlflow:
    input:
        scales.layout(SCALE).tracking_summary("tables"),
    message:
        "Everything of scale {SCALE} is in MLflow"
