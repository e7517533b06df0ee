# Metrics of every sample set, and of real images: the floors. Then seeds to means and intervals.


rule evaluate_one:
    input:
        inputs_of("evaluate"),
    output:
        output_of("evaluate"),
    log:
        log_of("evaluate"),
    threads: PLAN.study.threads
    resources:
        gpu=GPUS,
    params:
        file=PARAMS,
    conda:
        "../../environment.yml"
    shell:
        "divergan evaluate {wildcards.name} --params {params.file} --threads {threads} > {log} 2>&1"


rule compare:
    input:
        inputs_of("compare"),
    output:
        output_of("compare"),
    log:
        log_of("compare"),
    params:
        file=PARAMS,
    conda:
        "../../environment.yml"
    shell:
        "divergan compare {wildcards.name} --params {params.file} > {log} 2>&1"


rule evaluate:
    localrule: True
    input:
        all_of("sample", "evaluate", "compare"),
