# Searches over the method's options: workers that share the trials, fresh seeds for the best
# points, and a page.
from dmp.workflow.titles import sweep_title


localrules:
    sweep_report,


# Killed, or told to stop, a worker leaves its trial to whoever next looks for work: to itself, if it
# is started again. Its summary says that there was nothing left to take.
rule sweep_worker:
    input:
        outdated("sweep_worker", "sweep", "worker"),
        given(sweeps.search),
    output:
        SWEEP.worker_summary("{worker}"),
    log:
        SWEEP.root / "logs/worker{worker}.log",
    benchmark:
        SWEEP.root / "benchmarks/worker{worker}.tsv"
    threads: threads_of
    resources:
        **needs.of("run"),
    params:
        where=where,
    message:
        "Sweep {wildcards.sweep}: trials of worker {wildcards.worker}; progress in {log}"
    shell:
        "exec dmp sweep work {wildcards.sweep} --worker {wildcards.worker} {params.where} > {log:q} 2>&1"


rule sweep_confirm:
    input:
        outdated("sweep_confirm", "sweep", "point"),
        given(sweeps.workers),
        given(sweeps.confirmation),
    output:
        SWEEP.confirmation("{point}"),
    log:
        SWEEP.root / "logs/point{point}.log",
    benchmark:
        SWEEP.root / "benchmarks/point{point}.tsv"
    threads: threads_of
    resources:
        **needs.of("run"),
    params:
        where=where,
    message:
        "Sweep {wildcards.sweep}: fresh seeds for point {wildcards.point}; progress in {log}"
    shell:
        "exec dmp sweep confirm {wildcards.sweep} --point {wildcards.point} {params.where} > {log:q} 2>&1"


rule sweep_report:
    input:
        outdated("sweep_report", "sweep"),
        given(sweeps.workers),
        given(sweeps.confirmed),
    output:
        report(
            SWEEP.pages()[0],
            caption="../report/sweep.rst",
            category="Sweeps",
            labels=lambda w: sweep_title(
                scales.plan(w.scale),
                sweeps.sweep(w.sweep),
                SweepFiles(scales.layout(w.scale), w.sweep),
            ),
        ),
        *SWEEP.pages()[1:],
        SWEEP.trials,
        SWEEP.confirmed,
        SWEEP.best,
        SWEEP.interactive,
        directory(SWEEP.figures),
    log:
        SWEEP.root / "logs/report.log",
    params:
        where=where,
    message:
        "Table and plots of sweep {wildcards.sweep}"
    shell:
        "dmp sweep report {wildcards.sweep} {params.where} > {log:q} 2>&1"
