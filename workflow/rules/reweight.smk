# Importance weights on the latent space of a trained generator, and the plane where the right ones are known.


rule reweight_one:
    input:
        inputs_of("reweight"),
    output:
        output_of("reweight"),
    log:
        log_of("reweight"),
    priority: 5
    conda:
        "../../environment.yml"
    threads: PLAN.study.threads
    resources:
        gpu=GPUS,
        runtime=minutes_of("reweight"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged(
            "divergan reweight {wildcards.name} --params {params.file} --threads {threads}"
        )


rule oracle:
    input:
        inputs_of("oracle"),
    output:
        output_of("oracle"),
    log:
        log_of("oracle"),
    priority: 10
    conda:
        "../../environment.yml"
    threads: PLAN.study.threads
    resources:
        runtime=minutes_of("oracle"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged(
            "divergan oracle {wildcards.name} --params {params.file} --threads {threads}"
        )


rule reweight:
    input:
        all_of("reweight", "oracle"),
    localrule: True
