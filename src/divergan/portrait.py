"""One run, as a person sees it in a terminal: outcome, numbers beside their measures, curve, samples, places."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from divergan import store, tracking
from divergan.errors import DivergaNError
from divergan.metrics import METRICS
from divergan.plan import PRIOR, REAL, Plan, Step

BLOCKS = "▁▂▃▄▅▆▇█"
HALF = "▀"  # its foreground is the upper pixel, its background the lower
SHOWN = (8, 4)  # columns and rows of images; the grid's file has them all
FIRST = ("fid", "kid", "precision", "recall")  # the others follow in their own order


def portrait(root: Path, plan: Plan, key: str) -> dict[str, Any]:
    """Everything that is known of a finished training; what is not made yet is null or empty.

    Raises:
        DivergaNError: the run itself is not made.
    """
    run = plan.step("train", key)
    folder = store.place(root, run)
    if not store.exists(root, run):
        raise DivergaNError(f"{run.key} is not made yet: `divergan status` tells how far it is, `snakemake` makes it")
    facts = store.read_json(folder / store.RUN)
    variant = run.key.rsplit("-s", 1)[0]
    return {
        "run": run.key,
        "study": run.study,
        "outcome": facts.get("outcome", "finished"),
        "at_step": facts.get("at_step"),
        "steps": run.settings["training"]["steps"],
        "objective": run.settings["training"]["objective"],
        "seed": run.settings["seed"],
        "seconds": store.read_json(folder / "timing.json")["wall_seconds"],
        "metrics": metrics(root, plan, run, variant),
        "samplers": samplers(root, plan, run),
        "fid_over_training": of_evaluation(root, plan, f"{run.key}.{PRIOR}", "over_training.json") or [],
        "picture": picture(root, plan, run),
        "folder": str(folder),
        "recipe": str(folder / store.RECIPE),
        "mlflow": tracking.page_of(root, tracking.RECIPE_TAG, run.hash),
    }


def metrics(root: Path, plan: Plan, run: Step, variant: str) -> list[dict[str, Any]]:
    """Each metric beside real images' (the floor) and beside the variant's mean and 95 % interval over seeds."""
    own = of_evaluation(root, plan, f"{run.key}.{PRIOR}", "metrics.json") or {}
    floor = of_evaluation(root, plan, REAL, "metrics.json") or {}
    summary = {row["metric"]: row for row in table(root, plan, "summary.csv") if row["variant"] == variant}
    order = [*(name for name in FIRST if name in own), *(name for name in own if name not in FIRST)]
    return [
        {"metric": name, "value": own[name], "floor": floor.get(name),
         **{column: number(summary.get(name, {}).get(column)) for column in ("mean", "low", "high", "n")}}
        for name in order
    ]  # fmt: skip


def samplers(root: Path, plan: Plan, run: Step) -> dict[str, Any]:
    """Sampler -> its metrics, where the run is sampled in other ways than from the prior."""
    found = of_evaluation(root, plan, f"{run.key}.sampling", "metrics.json") or {}
    return {name: own for name, own in found.items() if isinstance(own, dict)}


def of_evaluation(root: Path, plan: Plan, key: str, file: str) -> Any:
    """What an evaluation holds in a file; None where the plan has none or it is not made."""
    steps = [step for step in plan.of("evaluate") if step.key == key]
    return store.read_json(store.place(root, steps[0]) / file) if steps and store.exists(root, steps[0]) else None


def table(root: Path, plan: Plan, name: str) -> list[dict[str, str]]:
    path = store.place(root, plan.of("compare")[0]) / name
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(text: str | None) -> float | None:
    return float(text) if text else None


def picture(root: Path, plan: Plan, run: Step) -> str | None:
    """The grid of the run's samples; before they are drawn, that of its last checkpoint."""
    drawn = [store.place(root, step) / f"{PRIOR}.png" for step in plan.of("sample") if step.key == f"{run.key}.{PRIOR}"]
    last = sorted((store.place(root, run) / "checkpoints").glob("*.png"))[-1:]
    return next((str(path) for path in [*drawn, *last] if path.is_file()), None)


def print_portrait(found: dict[str, Any]) -> None:
    """On a terminal with colours and the samples, in a pipe without."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a log or a pipe has no width of its own
    at = f" at step {found['at_step']}" if found["at_step"] is not None else ""
    console.print(
        f"[bold]{escape(found['run'])}[/]  {found['outcome']}{at}, {found['steps']} steps of {found['objective']}, "
        f"seed {found['seed']}, {found['seconds']:.0f} s"
    )
    if found["metrics"]:
        rows = Table("metric", "this run", "real images", "its variant, over seeds", box=SIMPLE)
        for row in found["metrics"]:
            rows.add_row(heading(row["metric"]), digits(row["value"]), digits(row["floor"]), interval(row))
        console.print(rows)
    if found["samplers"]:
        names = [name for name in FIRST if any(name in own for own in found["samplers"].values())]
        ways = Table("sampler", *map(heading, names), box=SIMPLE)
        prior = {row["metric"]: row["value"] for row in found["metrics"]}
        for sampler, own in {PRIOR: prior, **found["samplers"]}.items():
            ways.add_row(sampler, *(digits(own.get(name)) for name in names))
        console.print(ways)
    if curve := [row for row in found["fid_over_training"] if row["fid"] is not None]:
        first, last = curve[0], curve[-1]
        console.print(
            f"FID over training  {sparkline([row['fid'] for row in curve])}  {digits(first['fid'])} at step "
            f"{first['step']}, {digits(last['fid'])} at step {last['step']}"
        )
    if found["picture"] and console.color_system == "truecolor" and not console.no_color:
        console.print(drawn(Path(found["picture"]), console.width))
    for name in ("picture", "recipe", "mlflow"):
        if found[name]:
            console.print(f"{name:8} {escape(place(name, found[name]))}", soft_wrap=True)


def place(name: str, value: str) -> str:
    return f"http://127.0.0.1:5000/{value} (while `divergan ui` runs)" if name == "mlflow" else value


def heading(metric: str) -> str:
    """A metric's label, with an arrow to what is better."""
    declared = METRICS[metric]
    return " ".join([declared.label, *{"lower": "↓", "higher": "↑"}.get(declared.better or "", "")])


def interval(row: dict[str, Any]) -> str:
    if row["mean"] is None:
        return ""
    return f"{digits(row['mean'])} [{digits(row['low'])}, {digits(row['high'])}] (n = {row['n']:.0f})"


def digits(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def sparkline(values: Sequence[float]) -> str:
    """A block a value, the lowest the smallest."""
    low, high = min(values), max(values)
    step = (high - low) / (len(BLOCKS) - 1) or 1.0
    return "".join(BLOCKS[round((value - low) / step)] for value in values)


def drawn(path: Path, width: int) -> Any:
    """The first images of a PNG grid as half blocks: two pixels a character."""
    from PIL import Image
    from rich.style import Style
    from rich.text import Text

    with Image.open(path) as whole:
        side = whole.width // SHOWN[0]
        image = whole.convert("RGB").crop((0, 0, whole.width, min(whole.height, side * SHOWN[1])))
    if image.width > width:
        image = image.resize((width, image.height * width // image.width), Image.Resampling.BOX)
    rows, w = image.tobytes(), image.width
    text = Text(no_wrap=True)
    for y in range(0, image.height - 1, 2):
        for x in range(w):
            upper, lower = (rgb(rows[start : start + 3]) for start in (3 * (y * w + x), 3 * ((y + 1) * w + x)))
            text.append(HALF, Style(color=upper, bgcolor=lower))
        text.append("\n")
    return text


def rgb(pixel: bytes) -> str:
    return "#" + pixel.hex()
