# The runs. At small scales one job does all stages of a run; at large ones each stage is a job.


rule run:
    input:
        extractor_weights,
        baseline=baseline_weights,
        reference=FILES.reference("{task}"),
    output:
        weights=FILES.weights(*NAMES),
        samples=FILES.samples(*NAMES),
        metrics=FILES.metrics(*NAMES),
        denoising=FILES.run(*NAMES) / "denoising.npz",
        record=FILES.run(*NAMES) / "provenance.json",
    log:
        FILES.root / "logs/run/{task}/{variant}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/run/{task}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        scale=scales_that_run("run"),
    threads: threads_of
    params:
        where=where,
        config=slice_of("run"),
    message:
        "{wildcards.task}: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "dmp run {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log} 2>&1"


rule train:
    input:
        baseline=baseline_weights,
    output:
        weights=FILES.weights(*NAMES),
        record=FILES.run(*NAMES) / "provenance.json",
    log:
        FILES.root / "logs/train/{task}/{variant}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/train/{task}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        scale=scales_that_run("stage"),
    threads: threads_of
    params:
        where=where,
        config=slice_of("training"),
    message:
        "Training {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "dmp train {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log} 2>&1"


rule sample:
    input:
        extractor_weights,
        baseline=baseline_weights,
        weights=FILES.weights(*NAMES),
    output:
        samples=FILES.samples(*NAMES),
    log:
        FILES.root / "logs/sample/{task}/{variant}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/sample/{task}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        scale=scales_that_run("stage"),
    threads: threads_of
    params:
        where=where,
        config=slice_of("run"),
    message:
        "Sampling {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "dmp sample {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log} 2>&1"


rule evaluate:
    input:
        baseline=baseline_weights,
        weights=FILES.weights(*NAMES),
        samples=FILES.samples(*NAMES),
        reference=FILES.reference("{task}"),
    output:
        metrics=FILES.metrics(*NAMES),
        denoising=FILES.run(*NAMES) / "denoising.npz",
    log:
        FILES.root / "logs/evaluate/{task}/{variant}/seed{seed}.log",
    wildcard_constraints:
        scale=scales_that_run("stage"),
    threads: threads_of
    params:
        where=where,
        config=slice_of("run"),
    message:
        "Evaluating {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "dmp evaluate {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log} 2>&1"
