# From the numbers of the runs to tables, figures and verdicts: no torch from here on.
#
# Each study gathers its own numbers and has a page of its own, its tables and figures: an edit renders
# that page alone.
from dmp.workflow.titles import (
    figure_title,
    table_title,
    verdicts_page_title,
    verdicts_title,
)


localrules:
    collect,
    pages,
    claims,
    hypotheses,
    track,


rule collect:
    input:
        outdated("numbers", "scope"),
        given(inputs.measured),
    output:
        results=FILES.results_table("{scope}"),
        baselines=FILES.baselines_table("{scope}"),
    log:
        FILES.root / "logs/collect/{scope}.log",
    params:
        where=where,
    message:
        "Gathering the numbers of {wildcards.scope}"
    shell:
        "dmp collect {wildcards.scope} {params.where} > {log:q} 2>&1"


rule pages:
    input:
        outdated("page", "study"),
        given(inputs.artifacts),
        given(inputs.numbers),
    output:
        report(
            FILES.tables / "{study}.html",
            caption="../report/table.rst",
            category="Tables",
            labels=lambda w: table_title(scales.plan(w.scale), w.study),
        ),
        multiext(str(FILES.tables / "{study}"), ".csv", ".md", ".tex"),
        report(
            directory(FILES.figures("{study}")),
            patterns=["{figure}.png"],
            caption="../report/figure.rst",
            category="Figures",
            labels=lambda w: figure_title(scales.plan(w.scale), w.study, w.figure),
        ),
    log:
        FILES.root / "logs/pages/{study}.log",
    params:
        where=where,
    message:
        "Tables and figures of {wildcards.study}"
    shell:
        "dmp pages {wildcards.study} {params.where} > {log:q} 2>&1"


rule parameters:
    input:
        outdated("parameters"),
    output:
        FILES.parameters_table,
    log:
        FILES.root / "logs/parameters.log",
    params:
        where=where,
    message:
        "Counting the parameters of the paper's models"
    shell:
        "dmp parameters {params.where} > {log:q} 2>&1"


rule speed:
    input:
        outdated("speed"),
        given(inputs.speed),
    output:
        FILES.speed_table,
    log:
        FILES.root / "logs/speed.log",
    threads: threads_of_timing
    resources:
        **needs.of("speed"),
    params:
        where=where,
    message:
        "Timing training and sampling"
    shell:
        # Snakemake tells libraries to use all threads of a job; this one has them to be alone.
        "unset OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMEXPR_NUM_THREADS; "
        "dmp speed {params.where} > {log:q} 2>&1"


rule claims:
    input:
        outdated("claims"),
        FILES.parameters_table,
        FILES.speed_table,
        results=FILES.results_table("claims"),
    output:
        report(
            FILES.verdicts("claims").with_suffix(".html"),
            caption="../report/claims.rst",
            category="Claims",
            labels=lambda w: verdicts_page_title(scales.plan(w.scale), "the paper's claims"),
        ),
        multiext(str(FILES.verdicts("claims").with_suffix("")), ".md", ".csv", ".tex"),
        report(
            directory(FILES.figures("claims")),
            patterns=["{figure}.png"],
            caption="../report/figure.rst",
            category="Figures",
            labels=lambda w: verdicts_title("The paper's claims", w.figure),
        ),
    log:
        FILES.root / "logs/claims.log",
    params:
        where=where,
    message:
        "Verdicts on the paper's claims"
    shell:
        "dmp claims {params.where} > {log:q} 2>&1"


rule hypotheses:
    input:
        outdated("hypotheses"),
        results=FILES.results_table("hypotheses"),
    output:
        report(
            FILES.verdicts("hypotheses").with_suffix(".html"),
            caption="../report/claims.rst",
            category="Claims",
            labels=lambda w: verdicts_page_title(scales.plan(w.scale), "hypotheses of our own"),
        ),
        multiext(str(FILES.verdicts("hypotheses").with_suffix("")), ".md", ".csv", ".tex"),
        report(
            directory(FILES.figures("hypotheses")),
            patterns=["{figure}.png"],
            caption="../report/figure.rst",
            category="Figures",
            labels=lambda w: verdicts_title("Hypotheses of our own", w.figure),
        ),
    log:
        FILES.root / "logs/hypotheses.log",
    params:
        where=where,
    message:
        "Verdicts on hypotheses of our own"
    shell:
        "dmp hypotheses {params.where} > {log:q} 2>&1"


rule track:
    input:
        outdated("tracking", "target"),
        runs=lambda w: inputs.finished(w.scale, w.target),
        pages=given(inputs.pages),
    output:
        FILES.tracking_summary("{target}"),
    log:
        FILES.root / "logs/track-{target}.log",
    params:
        where=where,
    message:
        "Handing the runs of {wildcards.target} to MLflow"
    shell:
        # A tracker that is down is no reason to be without tables; what it lacks is said aloud.
        "dmp track {wildcards.target} --optional {params.where} > {log:q} 2>&1; "
        "grep '^warning:' {log:q} >&2 || true"
