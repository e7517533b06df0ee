"""reports/<study>/: PDF, page, figures, tables and recipes under fixed names, where people and DVC look."""

from __future__ import annotations

import shutil
from math import isfinite
from pathlib import Path
from typing import Any

from divergan.errors import DivergaNError
from divergan.plan import Plan
from divergan.portrait import heading
from divergan.store import RECIPE, link, link_file, place, written

DOCUMENTS = ("report.pdf", "index.html")  # the links of the page lead from reports/<study>/


def publish(root: Path, plan: Plan) -> Path:
    """Put the plan's report, figures and tables into reports/<study>/; its id file comes last and names the recipe."""
    from filelock import FileLock

    (report,), (tables,), (figures,) = map(plan.of, ("report", "compare", "figures"))
    folder = root / "reports" / plan.study.study
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):  # two Snakemakes may end at once
        for stale in folder.glob("*.id"):
            stale.unlink()
        for name, source, pattern in (("figures", figures, "*.svg"), ("tables", tables, "*.csv")):
            link(place(root, source), folder / name, only=pattern)
        shutil.rmtree(folder / "recipes", ignore_errors=True)
        for copy, original in recipes(root, plan).items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            link_file(str(original), str(copy))
        for name, step in (*((name, report) for name in DOCUMENTS), ("metrics.json", tables)):
            with written(folder / name) as temporary:
                shutil.copyfile(place(root, step) / name, temporary)
        with written(identity(root, plan)) as temporary:
            temporary.write_text(f"{report.hash}\n", "utf-8")
    return folder


def identity(root: Path, plan: Plan) -> Path:
    """The file in reports/<study>/ that names the recipe of the report."""
    (report,) = plan.of("report")
    return root / "reports" / plan.study.study / f"{report.hash[:8]}.id"


def recipes(root: Path, plan: Plan) -> dict[Path, Path]:
    """The published recipe of each result that is here, and its own file: all that made what the report shows."""
    folder = root / "reports" / plan.study.study
    files = {folder / step.published_recipe: place(root, step) / RECIPE for step in plan.steps}
    return {copy: source for copy, source in files.items() if source.is_file()}


def published_files(root: Path, plan: Plan) -> dict[Path, Path]:
    """The files of reports/<study>/ and what each is a copy of, as far as that is here."""
    folder = root / "reports" / plan.study.study
    report, tables, figures = (place(root, plan.of(verb)[0]) for verb in ("report", "compare", "figures"))
    named = [*(report / name for name in DOCUMENTS), tables / "metrics.json"]
    return (
        {folder / "figures" / path.name: path for path in figures.glob("*.svg")}
        | {folder / "tables" / path.name: path for path in tables.glob("*.csv")}
        | {folder / path.name: path for path in named if path.is_file()}
        | (recipes(root, plan) if (report / RECIPE).is_file() else {})
    )


README_MARKS = ("<!-- results: made by `make readme` -->", "<!-- end of results -->")
README_METRICS = ("fid", "kid", "precision", "recall")


def readme(root: Path, plan: Plan) -> str:
    """Put a published study's table and picture into README.md and docs/pictures/."""
    published = root / "reports" / plan.trained.study
    if not any(published.glob("*.id")):
        raise DivergaNError(f"{published} shows no results: run `snakemake --config params={plan.file}` first")
    path = root / "README.md"
    before, rest = path.read_text("utf-8").split(README_MARKS[0])
    after = rest.split(README_MARKS[1])[1]
    text = readme_text(published.relative_to(root), root, plan)
    path.write_text(f"{before}{README_MARKS[0]}\n\n{text}\n\n{README_MARKS[1]}{after}", "utf-8")
    return f"{path} shows {published}"


def readme_text(published: Path, root: Path, plan: Plan) -> str:
    """The picture and the tables of a published report, whose folder is relative to `root`, as the README has them."""
    picture = f"![Digits drawn from the same latents, a row a variant]({published.as_posix()}/figures/samples.svg)"
    return f"{picture}\n\n{result_table(root / published / 'tables', plan)}"


def result_table(tables: Path, plan: Plan) -> str:
    """The ranking as a Markdown table: mean and 95 % interval of each metric, runs, and the floor below."""
    import pandas as pd

    from divergan.comparison import SEEDS_TO_JUDGE
    from divergan.report.wording import text

    summary = pd.read_csv(tables / "summary.csv").set_index(["variant", "metric"])
    floors = pd.read_csv(tables / "floors.csv").set_index("metric")["floor"]
    order = pd.read_csv(tables / "ranking.csv")["variant"]
    arms = {name: arm.label for name, arm in plan.trained.arms.items()}
    lines = [markdown("", "arm", "runs", *map(heading, README_METRICS)), "|---" * (3 + len(README_METRICS)) + "|"]
    for variant in order:
        cells = [summary.loc[(variant, name)] for name in README_METRICS]
        runs = f"{cells[0]['n']:.0f} of {cells[0]['n_runs']:.0f}"
        lines.append(markdown(cells[0]["label"], arms[cells[0]["arm"]], runs, *map(with_interval, cells)))
    lines.append(markdown("*real images (floor)*", "", "", *(f"*{text(floors[name])}*" for name in README_METRICS)))
    n = plan.trained.samples
    few = not summary["judged"].all()
    note = (
        f"{plan.study.title}: mean and 95 % Student interval over training seeds, {n} samples a run against {n} real "
        "images, features of our digits classifier. "
        + (f"Variants with fewer than {SEEDS_TO_JUDGE} seeds are shown, not judged." if few else "")
    )
    return "\n".join([*lines, "", note.strip(), "", *sampler_lines(tables), verdict_counts(tables)])


def sampler_lines(tables: Path) -> list[str]:
    """The samplers of the first variant that has some, against its prior, as Markdown; none where no variant has."""
    if not (tables / "effects.csv").is_file():
        return []
    import pandas as pd

    from divergan.report.wording import text

    effects, frontier = pd.read_csv(tables / "effects.csv"), pd.read_csv(tables / "frontier.csv")
    effects = effects[(effects["variant"] == effects["variant"].iloc[0]) & (effects["against"] == "prior")]
    own = {metric: rows.set_index("sampler") for metric, rows in effects.groupby("metric")}
    cost = frontier[frontier["variant"] == effects["variant"].iloc[0]].set_index("sampler")["evaluations"]
    heads = ("sampler", "FID over the prior's", "precision above the prior's", "network rows an image")
    lines = [markdown(*heads), "|---|---|---|---|"]
    for name, row in own["fid"].iterrows():
        cells = [effect_text(row, 2), effect_text(own["precision"].loc[name], 3)]
        label = row["sampler_label"].replace("|", r"\|")
        lines.append(markdown(label, *cells, text(cost.get(name))))
    note = (
        f"The samplers of {effects['label'].iloc[0]}'s generators against their prior, paired over "
        f"{effects['n'].max()} seeds on equal latents; intervals at Holm's level."
    )
    return [*lines, "", note, ""]


def markdown(*cells: str) -> str:
    """A row of a Markdown table."""
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def effect_text(row: Any, decimals: int) -> str:
    """An effect with its interval; "not drawn" where a sampler failed at every seed."""
    from divergan.report.wording import MINUS

    if not row["n"] or not isfinite(row["effect"]):
        return "not drawn"
    effect, low, high = (f"{row[name]:.{decimals}f}".replace("-", MINUS) for name in ("effect", "low", "high"))
    return f"{effect} [{low}, {high}]"


def verdict_counts(tables: Path) -> str:
    """How many claims of claims.yaml came to which verdict, in a sentence."""
    import pandas as pd

    from divergan.claims.findings import VERDICTS

    found = pd.read_csv(tables / "claims.csv")["verdict"].value_counts()
    counts = ", ".join(f"{found.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
    return f"Verdicts on [claims.yaml](claims.yaml), each claim in every arm that has its variants: {counts}."


def with_interval(row: Any) -> str:
    if row["n"] == 0:
        return "–"
    from divergan.report.wording import text

    mean, low, high = row["mean"], row["low"], row["high"]
    return f"{text(mean)} [{text(low, mean)}, {text(high, mean)}]" if isfinite(low) else text(mean)
