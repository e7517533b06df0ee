# One training run a seed of every variant.


rule train_one:
    input:
        inputs_of("train"),
        WEIGHTS_THAT_MAY_BE_MISSING,
    output:
        output_of("train"),
    log:
        log_of("train"),
    priority: 10
    conda:
        "../../environment.yml"
    threads: PLAN.study.threads
    resources:
        gpu=GPUS,
        runtime=minutes_of("train"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged(
            "divergan train {wildcards.name} --params {params.file} --threads {threads}"
        )


rule train:
    input:
        all_of("train"),
    localrule: True
