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
    params:
        file=PARAMS,
    shell:
        "divergan chapter {wildcards.name} --params {params.file} --threads {threads} > {log} 2>&1"


def parts_of(chapter):
    """The run.json of every part of a chapter; told where the parameter file has no such chapter."""

    def parts(wildcards):
        found = [
            run_file(step)
            for step in PLAN.of("chapter")
            if step.settings["chapter"] == chapter
        ]
        if not found:
            raise WorkflowError(
                f"{PARAMS} has no chapter {chapter}: params/theory.yaml has (--config params=params/theory.yaml)."
            )
        return found

    return parts


for name in CHAPTERS:

    rule:
        name:
            name
        input:
            parts_of(name),
        localrule: True
