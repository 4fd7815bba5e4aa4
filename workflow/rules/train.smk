# The runs. At small scales one job does all stages of all seeds of a variant, or of several; at large
# ones each stage of each run is a job.

for name in scales_that_run("batch"):
    for number, (task, variants) in enumerate(plan(name).batches()):

        rule:
            name:
                f"batch_{name}_{number}"
            input:
                *batch_inputs(name, task),
            output:
                batch_outputs(name, task, variants),
            log:
                layout(name).root / f"logs/run/{task}/batch{number}.log",
            benchmark:
                layout(name).root / f"benchmarks/run/{task}/batch{number}.tsv"
            threads: plan(name).scale.execution.threads
            params:
                where=everywhere(name),
                task=task,
                variants=variants,
                seeds=" ".join(f"--seed {seed}" for seed in plan(name).seeds),
                config=[
                    plan(name).slice("run", task, v, s) for v in variants for s in plan(name).seeds
                ],
            message:
                "{params.task}: {params.variants}, all seeds; progress in {log}"
            shell:
                "dmp run {params.task} {params.variants:q} {params.seeds} {params.where} > {log} 2>&1"


for name in scales_that_run("variant"):

    rule:
        name:
            f"variant_{name}"
        input:
            extractor_weights,
            captions_of,
            baselines=lambda w: baselines_of(w, plan(w.scale).seeds),
            reference=FILES.reference("{task}"),
        output:
            of_seeds(name),
        log:
            FILES.root / "logs/run/{task}/{variant}.log",
        benchmark:
            FILES.root / "benchmarks/run/{task}/{variant}.tsv"
        wildcard_constraints:
            scale=name,
        threads: threads_of
        params:
            where=where,
            seeds=" ".join(f"--seed {seed}" for seed in plan(name).seeds),
            config=slices_of_seeds,
        message:
            "{wildcards.task}: {wildcards.variant}, all seeds; progress in {log}"
        shell:
            "dmp run {wildcards.task} {wildcards.variant:q} {params.seeds} {params.where} > {log} 2>&1"


rule train:
    input:
        captions_of,
        baseline=baseline_weights,
    output:
        weights=FILES.weights(*NAMES),
        record=FILES.run(*NAMES) / "provenance.json",
    log:
        FILES.root / "logs/train/{task}/{variant}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/train/{task}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        scale="|".join(scales_that_run("stage")) or "none",
    threads: threads_of
    params:
        where=where,
        config=slice_of("training"),
    message:
        "Training {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}; progress in {log}"
    shell:
        "dmp train {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log} 2>&1"


rule sample:
    input:
        extractor_weights,
        captions_of,
        baseline=baseline_weights,
        weights=FILES.weights(*NAMES),
    output:
        samples=FILES.samples(*NAMES),
    log:
        FILES.root / "logs/sample/{task}/{variant}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/sample/{task}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        scale="|".join(scales_that_run("stage")) or "none",
    threads: threads_of
    params:
        where=where,
        config=slice_of("run"),
    message:
        "Sampling {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}; progress in {log}"
    shell:
        "dmp sample {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log} 2>&1"


rule evaluate:
    input:
        captions_of,
        baseline=baseline_weights,
        weights=FILES.weights(*NAMES),
        samples=FILES.samples(*NAMES),
        reference=FILES.reference("{task}"),
    output:
        metrics=FILES.metrics(*NAMES),
        denoising=FILES.denoising(*NAMES),
        gate=FILES.gate(*NAMES),
    log:
        FILES.root / "logs/evaluate/{task}/{variant}/seed{seed}.log",
    wildcard_constraints:
        scale="|".join(scales_that_run("stage")) or "none",
    threads: threads_of
    params:
        where=where,
        config=slice_of("run"),
    message:
        "Evaluating {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "dmp evaluate {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log} 2>&1"
