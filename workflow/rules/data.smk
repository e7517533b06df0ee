# Raw images, fetched, verified and split; the classifier whose features the metrics use.


rule data:
    output:
        output_of("data"),
    log:
        log_of("data"),
    conda:
        "../../environment.yml"
    resources:
        runtime=minutes_of("data"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged("divergan data {wildcards.name} --params {params.file}")


rule features:
    input:
        inputs_of("features"),
    output:
        output_of("features"),
    log:
        log_of("features"),
    conda:
        "../../environment.yml"
    threads: PLAN.study.threads
    resources:
        gpu=GPUS,
        runtime=minutes_of("features"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged(
            "divergan features {wildcards.name} --params {params.file} --threads {threads}"
        )


rule prepare:
    input:
        all_of("data", "features"),
    localrule: True
