# One training run a seed of every variant.


rule train_one:
    input:
        inputs_of("train"),
    output:
        output_of("train"),
    log:
        log_of("train"),
    threads: PLAN.study.threads
    resources:
        gpu=GPUS,
    priority: 10
    params:
        file=PARAMS,
    conda:
        "../../environment.yml"
    shell:
        "divergan train {wildcards.name} --params {params.file} --threads {threads} > {log} 2>&1"


rule train:
    localrule: True
    input:
        all_of("train"),
