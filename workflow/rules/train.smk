# The runs. At small scales one job does all stages of all seeds of a variant, or of several; at large
# ones each stage of each run is a job.
#
# How many runs a job does stands in its outputs and not in its params: another number of them reruns
# nothing. Nor may it stand in the command: snakemake evaluates that again in the job, when the loop
# that makes the rules has come to its end.
#
# Training takes the place of its shell (exec), so that a signal reaches it: it saves and ends.

for name in scales_that_run("batch"):
    for number, (task, variants) in enumerate(plan(name).batches()):

        rule:
            name:
                f"batch_{name}_{number}"
            input:
                lambda w, name=name, task=task, variants=variants: outdated_runs(
                    name, [(task, v, seed) for v in variants for seed in plan(name).seeds]
                ),
                *batch_inputs(name, task),
            output:
                batch_outputs(name, task, variants),
            log:
                layout(name).root / f"logs/run/{task}/batch{number}.log",
            benchmark:
                layout(name).root / f"benchmarks/run/{task}/batch{number}.tsv"
            threads: plan(name).scale.execution.threads
            resources:
                **needs("run", name),
            params:
                where=everywhere(name),
            message:
                f"{task}: {' '.join(variants)}, all seeds; progress in {{log}}"
            shell:
                COMPLETE


for name in scales_that_run("variant"):
    for seeds in plan(name).seed_blocks():

        rule:
            name:
                f"variant_{name}_seed{seeds[0]}"
            input:
                lambda w, seeds=seeds: outdated_runs(
                    w.scale, [(w.task, w.variant, seed) for seed in seeds]
                ),
                extractor_weights,
                captions_of,
                latents_of,
                baselines=functools.partial(baselines_of, seeds=seeds),
                reference=FILES.reference("{task}"),
            output:
                of_seeds(seeds),
            log:
                FILES.root / f"logs/run/{{task}}/{{variant}}/seed{seeds[0]}.log",
            benchmark:
                FILES.root / f"benchmarks/run/{{task}}/{{variant}}/seed{seeds[0]}.tsv"
            wildcard_constraints:
                scale=name,
            threads: threads_of
            resources:
                **needs("run"),
            params:
                where=where,
            message:
                f"{{wildcards.task}}: {{wildcards.variant}}, seeds {seeds[0]} to {seeds[-1]}; progress in {{log}}"
            shell:
                COMPLETE


rule train:
    input:
        outdated("weights", "task", "variant", "seed"),
        captions_of,
        latents_of,
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
    resources:
        **needs("train"),
    params:
        where=where,
    message:
        "Training {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}; progress in {log}"
    shell:
        "exec dmp train {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log:q} 2>&1"


rule sample:
    input:
        outdated("samples", "task", "variant", "seed"),
        extractor_weights,
        captions_of,
        latents_of,
        baseline=baseline_weights,
        weights=FILES.weights(*NAMES),
    output:
        samples=FILES.samples(*NAMES),
    log:
        FILES.root / "logs/sample/{task}/{variant}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/sample/{task}/{variant}/seed{seed}.tsv"
    wildcard_constraints:
        scale=sampled_by(shards=False),
    threads: threads_of
    resources:
        **needs("sample"),
    params:
        where=where,
    message:
        "Sampling {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}; progress in {log}"
    shell:
        "dmp sample {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log:q} 2>&1"


rule shard:
    input:
        extractor_weights,
        captions_of,
        latents_of,
        baseline=baseline_weights,
        weights=FILES.weights(*NAMES),
    output:
        temp(FILES.shard(*NAMES, "{shard}", "{of}")),
    log:
        FILES.root / "logs/sample/{task}/{variant}/seed{seed}-{shard}-of-{of}.log",
    benchmark:
        FILES.root / "benchmarks/sample/{task}/{variant}/seed{seed}-{shard}-of-{of}.tsv"
    wildcard_constraints:
        scale=sampled_by(shards=True),
    threads: threads_of
    resources:
        **needs("sample"),
    params:
        where=where,
    message:
        "Sampling {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}, part {wildcards.shard}; progress in {log}"
    shell:
        "dmp sample {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} --shard {wildcards.shard} --of {wildcards.of} {params.where} > {log:q} 2>&1"


rule merge:
    input:
        outdated("samples", "task", "variant", "seed"),
        weights=FILES.weights(*NAMES),
        shards=shards_of,
    output:
        samples=FILES.samples(*NAMES),
    log:
        FILES.root / "logs/merge/{task}/{variant}/seed{seed}.log",
    wildcard_constraints:
        scale=sampled_by(shards=True),
    resources:
        **needs("merge"),
    params:
        where=where,
    message:
        "Joining the samples of {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "dmp sample {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} --join {params.where} > {log:q} 2>&1"


rule evaluate:
    input:
        outdated("metrics", "task", "variant", "seed"),
        captions_of,
        latents_of,
        baseline=baseline_weights,
        weights=FILES.weights(*NAMES),
        samples=FILES.samples(*NAMES),
        reference=FILES.reference("{task}"),
    output:
        metrics=FILES.metrics(*NAMES),
        denoising=FILES.denoising(*NAMES),
        gate=FILES.gate(*NAMES),
        finished=FILES.finished(*NAMES),
    log:
        FILES.root / "logs/evaluate/{task}/{variant}/seed{seed}.log",
    wildcard_constraints:
        scale="|".join(scales_that_run("stage")) or "none",
    threads: threads_of
    resources:
        **needs("evaluate"),
    params:
        where=where,
    message:
        "Evaluating {wildcards.task}: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "dmp evaluate {wildcards.task} {wildcards.variant:q} --seed {wildcards.seed} {params.where} > {log:q} 2>&1"
