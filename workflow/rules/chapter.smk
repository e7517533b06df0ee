# Chapters on known densities: exact answers beside learned ones. `snakemake gaussian --config params=params/theory.yaml`
# makes one of them alone.


rule chapter:
    input:
        inputs_of("chapter"),
    output:
        output_of("chapter"),
    log:
        log_of("chapter"),
    conda:
        "../../environment.yml"
    threads: PLAN.study.threads
    resources:
        runtime=minutes_of("chapter"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged(
            "divergan chapter {wildcards.name} --params {params.file} --threads {threads}"
        )


for name in CHAPTERS:

    rule:
        name:
            name
        input:
            parts_of(name),
        localrule: True
