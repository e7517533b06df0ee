# The sample sets of a trained generator, by its prior and by the other samplers of its variant. The job that evaluates
# them draws them; this rule makes one where it is asked for by its file.


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
        runtime=minutes_of("sample"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged(
            "divergan sample {wildcards.name} --params {params.file} --threads {threads}"
        )
