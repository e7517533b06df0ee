# The sample sets that are evaluated, from each trained generator: by its prior, and by the other samplers of its variant.


rule sample:
    input:
        inputs_of("sample"),
    output:
        output_of("sample"),
    log:
        log_of("sample"),
    conda:
        "../../environment.yml"
    threads: PLAN.study.threads
    resources:
        gpu=GPUS,
    params:
        file=PARAMS,
    shell:
        "divergan sample {wildcards.name} --params {params.file} --threads {threads} > {log} 2>&1"
