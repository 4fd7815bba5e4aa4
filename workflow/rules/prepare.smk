# Before the runs: feature extractor, reference features, captions, baselines and their convergence.
from dmp.recipes import DECAYED


rule extractor:
    input:
        outdated("extractor", "dataset"),
    output:
        FILES.extractor("{dataset}"),
    log:
        FILES.root / "logs/extractor/{dataset}.log",
    benchmark:
        FILES.root / "benchmarks/extractor/{dataset}.tsv"
    # Baselines wait for this.
    priority: 20
    threads: threads_of
    resources:
        **needs.of("extractor"),
    params:
        where=where,
    message:
        "Training the feature extractor of {wildcards.dataset}"
    shell:
        "dmp extractor {wildcards.dataset} {params.where} > {log:q} 2>&1"


rule reference:
    input:
        outdated("reference", "task"),
        given(inputs.extractor),
        given(inputs.manifests),
    output:
        FILES.reference("{task}"),
    log:
        FILES.root / "logs/reference/{task}.log",
    # Baselines wait for this.
    priority: 20
    threads: threads_of
    resources:
        **needs.of("reference"),
    params:
        where=where,
    message:
        "Features of the real images of {wildcards.task}"
    shell:
        "dmp reference {wildcards.task} {params.where} > {log:q} 2>&1"


rule captions:
    input:
        outdated("captions", "task"),
        given(inputs.manifests),
    output:
        FILES.captions("{task}"),
    log:
        FILES.root / "logs/captions/{task}.log",
    # Baselines wait for this.
    priority: 20
    threads: threads_of
    resources:
        **needs.of("captions"),
    params:
        where=where,
    message:
        "Encoding the captions of {wildcards.task}"
    shell:
        "dmp captions {wildcards.task} {params.where} > {log:q} 2>&1"


rule pretrain:
    input:
        outdated("baseline", "task", "seed"),
        given(inputs.data),
    output:
        weights=FILES.pretrained_weights("{task}", "{seed}"),
        state=FILES.pretrained_state("{task}", "{seed}"),
        record=FILES.pretrained("{task}", "{seed}") / "provenance.json",
    log:
        FILES.root / "logs/pretrain/{task}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/pretrain/{task}/seed{seed}.tsv"
    # Baselines are the longest jobs and everything waits for them.
    priority: 10
    threads: threads_of
    resources:
        **needs.of("pretrain"),
    params:
        where=where,
    message:
        "Training baseline {wildcards.seed} of {wildcards.task}; progress in {log}"
    shell:
        # In place of the shell, so that a signal reaches it: it saves and ends.
        "exec dmp pretrain {wildcards.task} --seed {wildcards.seed} {params.where} > {log:q} 2>&1"


rule decay:
    input:
        outdated("decayed", "task", "seed"),
        given(inputs.data),
        stem=FILES.pretrained_weights("{task}", "{seed}"),
    output:
        weights=FILES.pretrained_weights("{task}", "{seed}", DECAYED),
        record=FILES.pretrained("{task}", "{seed}", DECAYED) / "provenance.json",
    log:
        FILES.root / "logs/decay/{task}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/decay/{task}/seed{seed}.tsv"
    priority: 10
    threads: threads_of
    resources:
        **needs.of("pretrain"),
    params:
        where=where,
    message:
        "Decaying baseline {wildcards.seed} of {wildcards.task}; progress in {log}"
    shell:
        "exec dmp pretrain {wildcards.task} --seed {wildcards.seed} --recipe decayed {params.where} > {log:q} 2>&1"


rule converge:
    input:
        outdated("convergence", "task", "seed"),
        given(inputs.extractor),
        given(inputs.data),
        baseline=FILES.pretrained_weights("{task}", "{seed}"),
        reference=FILES.reference("{task}"),
    output:
        FILES.convergence("{task}", "{seed}"),
    log:
        FILES.root / "logs/converge/{task}/seed{seed}.log",
    benchmark:
        FILES.root / "benchmarks/converge/{task}/seed{seed}.tsv"
    threads: threads_of
    resources:
        **needs.of("converge"),
    params:
        where=where,
    message:
        "Checking the convergence of baseline {wildcards.seed} of {wildcards.task}; progress in {log}"
    shell:
        "exec dmp converge {wildcards.task} --seed {wildcards.seed} {params.where} > {log:q} 2>&1"
