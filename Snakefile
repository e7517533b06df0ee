# The DAG of a study. It is thin: the plan (src/divergan/plan/) knows the steps, one rule a verb makes them.
#
#   snakemake --cores 8 --resources gpu=2                          the published study, params.yaml
#   snakemake --cores 2 --config params=params/demo.yaml           another study
#   snakemake train | evaluate | report                            a part of it
#   snakemake gaussian --config params=params/theory.yaml          a chapter on known densities


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/reweight.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/chapter.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        PUBLISHED_REPORT,
        [run_file(step) for step in PROCESSES.made_in if step.verb != "report"],
    localrule: True
