"""Ways to spoil a project, and to see what a command says of it: for the inputs of hostile_table.py."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import json
import shutil
import signal
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from divergan import cli, store
from tiny_study import ROOT, SAMPLERS, edited, environment

SECONDS = 20  # until something is said, on a busy machine; here each takes less than one
RUN = "kl.stabilised-s0"
DRAW = f"sample {RUN} --n 4 --out drawn.npz"


@dataclass(frozen=True)
class Hostile:
    """One input. `spoil` runs in the project's folder, which holds data and one training of the smoke study."""

    what: str
    spoil: Callable[[], object]
    told: str
    command: str = "divergan plan"


def params(*pairs: tuple[str, str]) -> Callable[[], object]:
    """params.yaml with each old text, which stands there once, replaced."""
    return lambda: Path("params.yaml").write_text(edited(Path("params.yaml").read_text("utf-8"), *pairs), "utf-8")


def variant(name: str) -> Callable[[], object]:
    return params(("      kl: {", f"      {name}: {{"))


def whole(content: str | bytes, path: str = "params.yaml") -> Callable[[], object]:
    """A file that holds just this."""
    as_bytes = content if isinstance(content, bytes) else content.encode()
    return lambda: (Path(path).parent.mkdir(parents=True, exist_ok=True), Path(path).write_bytes(as_bytes))


def before(text: str) -> Callable[[], object]:
    """params.yaml with lines put before its own."""
    return lambda: Path("params.yaml").write_text(text + Path("params.yaml").read_text("utf-8"), "utf-8")


def sampled(*pairs: tuple[str, str]) -> Callable[[], object]:
    """params.yaml is the study of samplers, which is `like` the one that was there."""

    def spoil() -> None:
        Path("params").mkdir()
        Path("params.yaml").rename("params/smoke.yaml")
        Path("params.yaml").write_text(edited(SAMPLERS, *pairs), "utf-8")

    return spoil


def looped() -> None:
    """The study that params.yaml is `like` is a link to itself."""
    sampled()()
    Path("params/smoke.yaml").unlink()
    Path("params/smoke.yaml").symlink_to("smoke.yaml")


def result(verb: str, name: str) -> Path:
    """A file of the project's one result of a verb."""
    (folder,) = Path("results/smoke", verb).iterdir()
    return folder / name


def spoiled(verb: str, name: str, change: Callable[[bytes], bytes]) -> Callable[[], object]:
    return lambda: (path := result(verb, name)).write_bytes(change(path.read_bytes()))


def tensors(header: object, body: bytes = b"") -> bytes:
    """A safetensors file with this header, true or not."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(shape: list[int], size: int, kind: str = "F32") -> dict[str, object]:
    return {"dtype": kind, "shape": shape, "data_offsets": [0, size]}


def forged(verb: str, name: str, content: bytes) -> Callable[[], object]:
    """Another file in a result, and a run.json that fits."""

    def spoil() -> None:
        result(verb, name).write_bytes(content)
        run = json.loads(result(verb, "run.json").read_text("utf-8"))
        facts = {key: value for key, value in run.items() if key not in ("sha256", "files", "timings")}
        store.seal(result(verb, name).parent, facts)

    return spoil


def images(*more: Callable[[Path], object]) -> Callable[[], object]:
    """photos/ with two pictures, and what is done to it."""

    def spoil() -> None:
        from PIL import Image

        folder = Path("photos")
        folder.mkdir()
        for number in range(2):
            Image.new("RGB", (16, 16), (number * 90, 20, 30)).save(folder / f"{number}.png")
        for change in more:
            change(folder)

    return spoil


def own(description: str, content: bytes = b"") -> Callable[[], object]:
    """A data set of one's own, as somebody else might send it, and a study of it."""

    def spoil() -> None:
        whole(description, "data/own/mine.json")()
        whole(content, "data/own/mine.safetensors")()
        params(("name: embedded", "name: mine"), ("name: digits", "name: random_convolutions"))()

    return spoil


def described(**changes: object) -> str:
    facts = {"label": "mine", "channels": 1, "size": 28, "count": 5000, "classes": ["a", "b"]}
    return json.dumps(facts | {"sha256": "ab" * 32, "resized": "once"} | changes)


def png_bomb() -> bytes:
    """The start of a PNG that says it is 40,000 pixels a side."""
    import zlib

    chunks = (b"IHDR" + struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(99)))
    framed = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def links_out(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def project(root: Path) -> Path:
    """A project in which the data and one training are made, with the workflow."""
    from tiny_training import trained

    trained(root, RUN)
    shutil.rmtree(root / "results/.store")  # else a copy of the project could mend itself from there
    shutil.copy(ROOT / "Snakefile", root)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, root / name)
    return root


def too_long(*_: object) -> None:
    raise TimeoutError(f"not told in {SECONDS} s")


def met(hostile: Hostile) -> tuple[int, str]:
    """Exit code and messages of its command in the folder that this process is in; 1 and a traceback as a shell has."""
    program, *arguments = (a for word in hostile.command.split(" ") for a in (glob.glob(word) or [word]))
    if program != "divergan":
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    told, argv, sys.argv = io.StringIO(), sys.argv, [program, *arguments]
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            cli.main()
    except SystemExit as ended:
        return int(ended.code or 0), told.getvalue()
    except Exception:
        return 1, told.getvalue() + traceback.format_exc()
    finally:
        sys.argv = argv
        signal.alarm(0)
    return 0, told.getvalue()


def message(told: str) -> str:
    """What is said, in one line, without progress."""
    lines = [line.strip("│ ") for line in told.splitlines() if "/s, " not in line and not line.startswith(("╭", "╰"))]
    return " ".join(" ".join(lines).split())


def files(folder: Path) -> dict[str, str]:
    """Every file and what it is, but for what is documented to stay: logs, Snakemake's and Python's own, and a lock."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    kept = [path for path in paths if not {"logs", ".snakemake", "__pycache__"} & set(path.parts)]
    kept = [path for path in kept if not (path.suffix == ".lock" and path.parent.name == ".partial")]
    return {quarantined(path.relative_to(folder)): content(path) for path in kept}


def quarantined(path: Path) -> str:
    """A path, or where a file lay that is now in quarantine: nothing is lost there."""
    if ".quarantine" not in path.parts:
        return str(path)
    moved = Path(*path.parts[path.parts.index(".quarantine") + 1 :])
    (verb,) = [name for name, start in (("data", "embedded-"), ("runs", "kl.")) if str(moved).startswith(start)]
    return str(Path("project/results/smoke", verb, moved.parts[0].removesuffix(".1"), *moved.parts[1:]))


def content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "special"
