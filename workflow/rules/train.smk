# The runs. At small scales one job does all stages of a bundle of runs; at large ones each stage of
# each run is a job.
#
# Training takes the place of its shell (exec), so that a signal reaches it: it saves and ends.


# Its wildcards are the last run of the bundle.
rule bundle:
    input:
        given(recognition.unfinished),
        given(inputs.bundle),
    output:
        FILES.finished(*RUN),
    log:
        FILES.root / "logs/run/{task}/{variant}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/run/{task}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        scale=clear(scales.pattern)("bundle"),
    threads: threads_of
    resources:
        **needs.of("run"),
    params:
        runs=given(scales.arguments),
        where=where,
    message:
        "{wildcards.task}: {params.runs}; progress in {log}"
    shell:
        "exec dmp run {wildcards.task} {params.runs} {params.where} > {log:q} 2>&1"


rule train:
    input:
        outdated("weights", "task", "variant", "seed"),
        given(inputs.data),
        baseline=given(inputs.baseline),
    output:
        weights=FILES.weights(*RUN),
        record=FILES.run(*RUN) / "provenance.json",
    log:
        FILES.root / "logs/train/{task}/{variant}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/train/{task}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        scale=clear(scales.pattern)("stage"),
    threads: threads_of
    resources:
        **needs.of("train"),
    params:
        where=where,
    message:
        "Training {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}; progress in {log}"
    shell:
        "exec dmp train {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log:q} 2>&1"


rule sample:
    input:
        outdated("samples", "task", "variant", "seed"),
        given(inputs.extractor),
        given(inputs.data),
        baseline=given(inputs.baseline),
        weights=FILES.weights(*RUN),
    output:
        samples=FILES.samples(*RUN),
    log:
        FILES.root / "logs/sample/{task}/{variant}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/sample/{task}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        scale=clear(scales.pattern)("stage", sharded=False),
    threads: threads_of
    resources:
        **needs.of("sample"),
    params:
        where=where,
    message:
        "Sampling {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}; progress in {log}"
    shell:
        "dmp sample {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log:q} 2>&1"


rule shard:
    input:
        given(inputs.extractor),
        given(inputs.data),
        baseline=given(inputs.baseline),
        weights=FILES.weights(*RUN),
    output:
        temp(FILES.shard(*RUN, "{shard}", "{of}")),
    log:
        FILES.root / "logs/sample/{task}/{variant}/seed{seed}-{shard}-of-{of}.log",
    benchmark:
        FILES.root / "benchmarks/sample/{task}/{variant}/seed{seed}-{shard}-of-{of}.tsv"
    wildcard_constraints:
        scale=clear(scales.pattern)("stage", sharded=True),
    threads: threads_of
    resources:
        **needs.of("sample"),
    params:
        where=where,
    message:
        "Sampling {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}, part {wildcards.shard}; progress in {log}"
    shell:
        "dmp sample {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} --shard {wildcards.shard} --of {wildcards.of} {params.where} > {log:q} 2>&1"


rule merge:
    input:
        outdated("samples", "task", "variant", "seed"),
        weights=FILES.weights(*RUN),
        shards=given(inputs.shards),
    output:
        samples=FILES.samples(*RUN),
    log:
        FILES.root / "logs/merge/{task}/{variant}/seed{seed}.log",
    wildcard_constraints:
        scale=clear(scales.pattern)("stage", sharded=True),
    resources:
        **needs.of("merge"),
    params:
        where=where,
    message:
        "Joining the samples of {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "dmp sample {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} --join {params.where} > {log:q} 2>&1"


rule evaluate:
    input:
        outdated("metrics", "task", "variant", "seed"),
        given(inputs.data),
        baseline=given(inputs.baseline),
        weights=FILES.weights(*RUN),
        samples=FILES.samples(*RUN),
        reference=FILES.reference("{task}"),
    output:
        metrics=FILES.metrics(*RUN),
        denoising=FILES.denoising(*RUN),
        gate=FILES.gate(*RUN),
        finished=FILES.finished(*RUN),
    log:
        FILES.root / "logs/evaluate/{task}/{variant}/seed{seed}.log",
    wildcard_constraints:
        scale=clear(scales.pattern)("stage"),
    threads: threads_of
    resources:
        **needs.of("evaluate"),
    params:
        where=where,
    message:
        "Evaluating {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "dmp evaluate {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log:q} 2>&1"
