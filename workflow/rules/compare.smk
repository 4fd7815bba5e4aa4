# From the numbers of the runs to tables, figures and verdicts: no torch from here on.
#
# Each study gathers its own numbers and has a page of its own, its tables and figures, so that an
# edit renders that page alone. Where a job does many variants, one job does all pages too.


localrules:
    claims,
    track,


for name in [name for name in known_scales() if not batched(name)]:

    rule:
        name:
            f"collect_{name}"
        input:
            outdated("numbers", "scope"),
            runs_of,
        output:
            results=FILES.results_table("{scope}"),
            baselines=FILES.baselines_table("{scope}"),
        log:
            FILES.root / "logs/collect/{scope}.log",
        wildcard_constraints:
            scale=name,
        localrule: True
        params:
            where=where,
        message:
            "Gathering the numbers of {wildcards.scope}"
        shell:
            "dmp collect {wildcards.scope} {params.where} > {log:q} 2>&1"

    rule:
        name:
            f"pages_{name}"
        input:
            outdated("page", "study"),
            artifacts_of,
            numbers_of,
        output:
            page_outputs(FILES, "{study}"),
        log:
            FILES.root / "logs/pages/{study}.log",
        wildcard_constraints:
            scale=name,
        localrule: True
        params:
            where=where,
        message:
            "Tables and figures of {wildcards.study}"
        shell:
            "dmp pages {wildcards.study} {params.where} > {log:q} 2>&1"


for name in [name for name in known_scales() if batched(name)]:
    for target in ("tables", "studies"):

        rule:
            name:
                f"collect_{name}_{target}"
            input:
                lambda w, name=name, target=target: outdated_results(
                    name, "numbers", scopes_of(name, target)
                ),
                *runs_of(SimpleNamespace(scale=name, scope=target)),
            output:
                numbers_files(name, target),
            log:
                layout(name).root / f"logs/collect/{target}.log",
            localrule: True
            params:
                where=everywhere(name),
                scopes=scopes_of(name, target),
            message:
                "Gathering the numbers of {params.scopes}"
            shell:
                "dmp collect {params.scopes} {params.where} > {log:q} 2>&1"

        rule:
            name:
                f"pages_{name}_{target}"
            input:
                lambda w, name=name, target=target: outdated_results(
                    name, "page", plan(name).targeted(target)
                ),
                *page_inputs(name, target),
            output:
                [p for s in plan(name).targeted(target) for p in page_outputs(layout(name), s)],
            log:
                layout(name).root / f"logs/pages/{target}.log",
            localrule: True
            params:
                where=everywhere(name),
                studies=plan(name).targeted(target),
            message:
                "Tables and figures of {params.studies}"
            shell:
                "dmp pages {params.studies} {params.where} > {log:q} 2>&1"


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
        lambda w: speed_inputs(w.scale),
    output:
        FILES.speed_table,
    log:
        FILES.root / "logs/speed.log",
    threads: threads_of
    resources:
        **needs("speed"),
    params:
        where=where,
    message:
        "Timing training and sampling"
    shell:
        "dmp speed {params.where} > {log:q} 2>&1"


rule claims:
    input:
        outdated("claims"),
        FILES.parameters_table,
        FILES.speed_table,
        results=FILES.results_table("claims"),
    output:
        report(FILES.claims.with_suffix(".html"), caption=caption("claims"), category="Claims"),
        multiext(str(FILES.claims.with_suffix("")), ".md", ".csv", ".tex"),
        shown_figures(FILES, "claims"),
    log:
        FILES.root / "logs/claims.log",
    params:
        where=where,
    message:
        "Verdicts on the paper's claims"
    shell:
        "dmp claims {params.where} > {log:q} 2>&1"


rule track:
    input:
        outdated("tracking", "target"),
        runs=lambda w: [layout(w.scale).finished(*run) for run in plan(w.scale).runs(w.target)],
        pages=lambda w: pages_of(w.scale, w.target),
    output:
        FILES.tracking_summary("{target}"),
    log:
        FILES.root / "logs/track-{target}.log",
    params:
        where=where,
    message:
        "Handing the runs of {wildcards.target} to MLflow"
    shell:
        "dmp track {wildcards.target} {params.where} > {log:q} 2>&1"
