# From the numbers of the runs to tables, figures and verdicts: no torch from here on.


localrules:
    collect,
    collect_scope,
    table,
    figures,
    claims,
    track,


rule collect:
    input:
        runs_of,
    output:
        results=FILES.results_table("tables"),
        baselines=FILES.baselines_table("tables"),
    log:
        FILES.root / "logs/collect.log",
    params:
        where=where,
        runs=lambda w: plan(w.scale).results_slice("tables"),
    message:
        "Gathering the numbers of the paper's tables"
    shell:
        "dmp collect tables {params.where} > {log} 2>&1"


rule collect_scope:
    input:
        runs_of,
    output:
        results=FILES.results_table("{scope}"),
        baselines=FILES.baselines_table("{scope}"),
    log:
        FILES.root / "logs/collect/{scope}.log",
    params:
        where=where,
        runs=lambda w: plan(w.scale).results_slice(w.scope),
    message:
        "Gathering the numbers of {wildcards.scope}"
    shell:
        "dmp collect {wildcards.scope} {params.where} > {log} 2>&1"


rule parameters:
    output:
        FILES.parameters_table,
    log:
        FILES.root / "logs/parameters.log",
    params:
        where=where,
        config=lambda w: plan(w.scale).parameters_slice(),
    message:
        "Counting the parameters of the paper's models"
    shell:
        "dmp parameters {params.where} > {log} 2>&1"


rule table:
    input:
        numbers_of,
    output:
        multiext(str(FILES.tables / "{study}"), ".csv", ".md", ".tex", ".html"),
    log:
        FILES.root / "logs/table/{study}.log",
    params:
        where=where,
        config=lambda w: plan(w.scale).study_slice(w.study),
    message:
        "Table {wildcards.study}"
    shell:
        "dmp table {wildcards.study} {params.where} > {log} 2>&1"


rule figures:
    input:
        artifacts_of,
        results=FILES.results_table("{study}"),
    output:
        FILES.figures("{study}"),
    log:
        FILES.root / "logs/figures/{study}.log",
    params:
        where=where,
        config=lambda w: plan(w.scale).study_slice(w.study),
    message:
        "Figures of {wildcards.study}"
    shell:
        "dmp figures {wildcards.study} {params.where} > {log} 2>&1"


rule claims:
    input:
        FILES.parameters_table,
        results=FILES.results_table("claims"),
    output:
        multiext(str(FILES.claims.with_suffix("")), ".md", ".csv", ".tex", ".html"),
    log:
        FILES.root / "logs/claims.log",
    params:
        where=where,
        config=lambda w: plan(w.scale).claims_slice(),
    message:
        "Verdicts on the paper's claims"
    shell:
        "dmp claims {params.where} > {log} 2>&1"


rule track:
    input:
        runs=lambda w: [layout(w.scale).metrics(*run) for run in plan(w.scale).runs(w.target)],
        pages=lambda w: pages_of(w.scale, w.target),
    output:
        FILES.tracking_receipt("{target}"),
    log:
        FILES.root / "logs/track-{target}.log",
    params:
        where=where,
    message:
        "Handing the runs of {wildcards.target} to MLflow"
    shell:
        "dmp track {wildcards.target} {params.where} > {log} 2>&1"
