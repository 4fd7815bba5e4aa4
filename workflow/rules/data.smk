# Datasets on disk: checked file by file before any GPU is asked for, then their latents.


rule check_data:
    input:
        outdated("manifest", "dataset"),
        # Needed, however new: that the two were compared as they are stands in the manifest.
        ancient(given(inputs.trained_on)),
    output:
        FILES.manifest("{dataset}"),
    log:
        FILES.root / "logs/data/{dataset}.log",
    # Everything waits for this.
    priority: 30
    threads: threads_of
    resources:
        **needs.of("check"),
    params:
        where=where,
    message:
        "Opening and hashing every image of {wildcards.dataset}; progress in {log}"
    shell:
        "dmp check-data {wildcards.dataset} {params.where} > {log:q} 2>&1"


rule latents_part:
    input:
        outdated("latents_part", "dataset", "shard"),
        FILES.manifest("{dataset}"),
    output:
        FILES.latents_part("{dataset}", "{shard}", "{of}"),
    log:
        FILES.root / "logs/latents/{dataset}-{shard}-of-{of}.log",
    benchmark:
        FILES.root / "benchmarks/latents/{dataset}-{shard}-of-{of}.tsv"
    priority: 20
    threads: threads_of
    resources:
        **needs.of("latents"),
    params:
        where=where,
    message:
        "Latents of {wildcards.dataset}, part {wildcards.shard} of {wildcards.of}; progress in {log}"
    shell:
        "dmp latents {wildcards.dataset} --part {wildcards.shard} --of {wildcards.of} {params.where} > {log:q} 2>&1"


rule latents:
    input:
        outdated("latents", "dataset"),
        FILES.manifest("{dataset}"),
        given(inputs.latents_parts),
    output:
        FILES.latents("{dataset}") / "index.json",
    log:
        FILES.root / "logs/latents/{dataset}.log",
    priority: 20
    resources:
        **needs.of("check"),
    params:
        where=where,
    message:
        "Verifying the latents of {wildcards.dataset}"
    shell:
        "dmp latents {wildcards.dataset} {params.where} > {log:q} 2>&1"
