# Every table of the paper, re-measured.
#
#     snakemake --cores all tables                          at the default scale, digits
#     snakemake --cores all tables --config scale=smoke     at another one
#     snakemake --profile slurm tables                      on a cluster
#
# What is compared stands in ablations/, how it is computed in the package dmp; the rules only say
# which file comes from which.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/compare.smk"


localrules:
    tables,
    smoke,
    mlflow,


rule tables:
    default_target: True
    input:
        tables_of(SCALE),
    message:
        "All tables of scale {SCALE} are in results/{SCALE}/tables"


rule smoke:
    input:
        tables_of("smoke"),
    message:
        "All tables of scale smoke are in results/smoke/tables"


rule mlflow:
    input:
        str(layout(SCALE).tracking_receipt),
    message:
        "Everything of scale {SCALE} is in MLflow"
