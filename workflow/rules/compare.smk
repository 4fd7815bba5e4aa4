# From the numbers of the runs to tables: no torch from here on.


localrules:
    collect,
    collect_study,
    table,
    track,


rule collect:
    input:
        runs_of,
    output:
        results=FILES.results_table(),
        baselines=FILES.baselines_table(),
    log:
        FILES.root / "logs/collect.log",
    params:
        where=where,
        runs=lambda w: plan(w.scale).results_slice(),
    message:
        "Gathering the numbers of all runs"
    shell:
        "dmp collect {params.where} > {log} 2>&1"


rule collect_study:
    input:
        runs_of,
    output:
        results=FILES.results_table("{study}"),
        baselines=FILES.baselines_table("{study}"),
    log:
        FILES.root / "logs/collect/{study}.log",
    params:
        where=where,
        runs=lambda w: plan(w.scale).results_slice(w.study),
    message:
        "Gathering the numbers of {wildcards.study}"
    shell:
        "dmp collect {wildcards.study} {params.where} > {log} 2>&1"


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


rule track:
    input:
        results=FILES.results_table(),
        baselines=FILES.baselines_table(),
        tables=study_tables,
    output:
        FILES.tracking_receipt,
    log:
        FILES.root / "logs/track.log",
    params:
        where=where,
    message:
        "Handing the runs to MLflow"
    shell:
        "dmp track {params.where} > {log} 2>&1"
