# Metrics of every sample set, which the same job draws, and of real images: the floors. Then seeds to means and intervals.


rule evaluate_one:
    input:
        inputs_of("evaluate"),
    output:
        output_of("evaluate"),
    log:
        log_of("evaluate"),
    conda:
        "../../environment.yml"
    threads: PLAN.study.threads
    resources:
        gpu=GPUS,
        runtime=minutes_of("evaluate"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged(
            "divergan evaluate {wildcards.name} --params {params.file} --threads {threads}"
        )


rule compare:
    input:
        inputs_of("compare"),
    output:
        output_of("compare"),
    log:
        log_of("compare"),
    conda:
        "../../environment.yml"
    resources:
        runtime=minutes_of("compare"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged("divergan compare {wildcards.name} --params {params.file}")


rule evaluate:
    input:
        all_of("evaluate", "compare"),
    localrule: True
