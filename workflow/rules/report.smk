# Figures, the PDF and the page. `report` draws the figures by the way; rule figures is for one who asks for their file. It publishes
# reports/<study>/ under fixed names; the id file among them names the recipe that it shows, so that after an edit, a
# revert or a checkout the folder is never another parameter file's.


rule figures:
    input:
        inputs_of("figures"),
    output:
        output_of("figures"),
    log:
        log_of("figures"),
    conda:
        "../../environment.yml"
    resources:
        runtime=minutes_of("figures"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged("divergan figures {wildcards.name} --params {params.file}")


rule report:
    input:
        needed_by(PLAN.of("report")[0]),
    output:
        PUBLISHED_REPORT,
        report(
            f"reports/{STUDY}/report.pdf",
            caption="../report/pdf.rst",
            category="The study",
            labels={"shown": "the report, as PDF"},
        ),
        report(
            f"reports/{STUDY}/index.html",
            caption="../report/page.rst",
            category="The study",
            labels={"shown": "tables, curves and pictures, to browse"},
        ),
        report(
            directory(f"reports/{STUDY}/figures"),
            patterns=["{figure}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        report(
            directory(f"reports/{STUDY}/tables"),
            patterns=["{table}.csv"],
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        f"logs/{STUDY}/report/report.log",
    conda:
        "../../environment.yml"
    resources:
        runtime=minutes_of("report"),
        mem_mb=megabytes,
    params:
        file=PARAMS,
    shell:
        logged("divergan report --params {params.file}")
