"""Bad inputs and hostile files: what is done to a project, the command that meets it, a part of what it says.

As a script it prints what each of them says, as a table: python tests/hostile_table.py
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import tempfile
from pathlib import Path

from hostile_ways import (
    DRAW,
    RUN,
    Hostile,
    before,
    described,
    entry,
    forged,
    images,
    links_out,
    looped,
    message,
    met,
    own,
    params,
    png_bomb,
    project,
    result,
    sampled,
    spoiled,
    tensors,
    variant,
    whole,
)

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
NEVER = lambda: None  # noqa: E731 (the project as it is)
IMPORT = "divergan import photos --name mine --size 16"
PIXELS = tensors({"images": entry([1200, 1, 28, 28], 940_800, "I8")}, bytes(940_800))
LOST = tensors({"x": entry([2**40], 2**42)})

YAML = [
    Hostile("no file", lambda: Path("params.yaml").unlink(), "there is no parameter file params.yaml"),
    Hostile("a folder for a file", NEVER, "Is a directory", "divergan plan --params data"),
    Hostile("a FIFO for a file", lambda: os.mkfifo("pipe"), "no regular file", "divergan plan --params pipe"),
    Hostile("/dev/null for a file", NEVER, "no regular file", "divergan plan --params /dev/null"),
    Hostile("a name with NUL", NEVER, "embedded null byte", "divergan plan --params a\0b"),
    Hostile("an empty file", whole(""), "holds nothing"),
    Hostile("a list", whole("- 1\n"), "holds a list"),
    Hostile("a megabyte", whole(b"a: " + b"x" * 10**6), "is it another file?"),
    Hostile("a picture", whole(b"\x89PNG\r\n\x1a\n" + bytes(99)), "save it as UTF-8"),
    Hostile("UTF-16", whole("study: x".encode("utf-16")), "save it as UTF-8"),
    Hostile("NUL", whole(b"study: \0"), "is no YAML 1.2"),
    Hostile("two documents", before("a: 1\n---\n"), "another document"),
    Hostile("billion laughs", before(BOMB), "write them out"),
    Hostile("an alias within itself", before("loop: &loop {inside: *loop}\n"), "loop = {'inside'"),
    Hostile("a merge with itself", before("loop: &loop {<<: *loop}\n"), "merges (<<)"),
    Hostile("90,000 levels", whole("a: " + "[" * 90_000), "levels of nesting"),
    Hostile("a tag that would run", params(("threads: 1 ", "threads: !!python/object/apply:os.getpid [] ")), "the tag"),
    Hostile("YAML 1.1, where no is false", before("%YAML 1.1\n---\n"), "a %YAML line"),
    Hostile("a key twice", before("threads: 2\n"), 'duplicate key "threads"'),
    Hostile(
        "keys 1 and '1'", params(("      kl: {", "      '1': {objective: kl}\n      1: {")), "the key 1 is no text"
    ),
    Hostile("a list for a key", before("? [a, b]\n: c\n"), "is no text"),
    Hostile("an escape sequence", params(('"Smoke test', '"\\e[2J')), "the character '\\x1b'"),
    Hostile("half a surrogate", params(('"Smoke test', '"\\ud800')), "the character '\\ud800'"),
    Hostile("not a number", params(("gamma: 0.1", "gamma: .nan")), "a finite number"),
    Hostile("infinity", params(("gamma: 0.1", "gamma: 1e999")), "a finite number"),
    Hostile("5,000 digits", params(("steps: 60 ", f"steps: {'9' * 5000} ")), "digits"),
    Hostile("10^18 steps", params(("steps: 60 ", f"steps: {10**18} ")), "less than 2147483648"),
    Hostile("a million threads", params(("threads: 1 ", "threads: 1000000 ")), "less than or equal to 1024"),
    Hostile("yes for a number", params(("gamma: 0.1", "gamma: yes")), "expected a number"),
    Hostile("text for a number", params(("batch: 32 ", "batch: '32' ")), "expected a whole number"),
    Hostile("an unknown key", params(("batch: 32 ", "bacth: 32 ")), "did you mean 'batch'?"),
]

PLAIN, ROOTED = "small letters, digits and _", "inside the project's folder"
NAMES = [
    Hostile("study ../x", params(("study: smoke ", "study: ../x ")), PLAIN),
    Hostile("study /etc", params(("study: smoke ", "study: /etc ")), PLAIN),
    Hostile("study .", params(("study: smoke ", "study: . ")), PLAIN),
    Hostile("study con (a device on Windows)", params(("study: smoke ", "study: con ")), "Windows opens a device"),
    Hostile("variant a/b", variant("a/b"), PLAIN),
    Hostile("variant -rf", variant("-rf"), PLAIN),
    Hostile("variant Kl (kl on other file systems)", variant("Kl"), PLAIN),
    Hostile("variant with a line break", variant('"k\\nl"'), PLAIN),
    Hostile("variant of 65 letters", variant("k" * 65), PLAIN),
    Hostile("variant in full-width letters", variant("ｋｌ"), PLAIN),
    Hostile("variant $(touch x)", variant('"$(touch x)"'), PLAIN),
    Hostile("arm ..", params(("  stabilised:", "  ..:")), PLAIN),
    Hostile("sampler ../x", sampled(("    sir: {", "    ../x: {")), PLAIN),
    Hostile("sampler prior", sampled(("    sir: {", "    prior: {")), "choose another name for that entry"),
    Hostile("sampler is a list", sampled(("{sampler: mh, chain: 3}", "{sampler: [mh], chain: 3}")), "expected text"),
    Hostile("weights nul", sampled(("    learned: {", "    nul: {")), "Windows opens a device"),
    Hostile("data set ../../x", params(("name: embedded", "name: ../../x")), "there is no '../../x'"),
    Hostile("kept weights outside", params(("weights: null", "weights: ../kept.safetensors")), ROOTED),
    Hostile("kept weights over params.yaml", params(("weights: null", "weights: params.yaml")), ".safetensors"),
    Hostile("like: /etc/passwd", sampled(("{study: params/smoke.yaml", "{study: /etc/passwd")), ROOTED),
    Hostile("like: itself", sampled(("{study: params/smoke.yaml", "{study: params.yaml")), "like another study itself"),
    Hostile("like: a link to itself", looped, "params/smoke.yaml cannot be read"),
    Hostile("a key of a run ../..", NEVER, "plans no train '../..'", "divergan train ../.."),
]

FILES = [
    Hostile(
        "splits cut short",
        spoiled("data", "splits.safetensors", lambda b: b[:-9]),
        "splits.safetensors does not match its checksum",
        "divergan train bce.stabilised-s0",
    ),
    Hostile(
        "weights cut short",
        spoiled("runs", "generator.safetensors", lambda b: b[:-9]),
        "generator.safetensors",
        f"divergan {DRAW}",
    ),
    Hostile(
        "weights with a header of 2^63 bytes",
        spoiled("runs", "generator.safetensors", lambda b: struct.pack("<Q", 2**63) + b[8:]),
        "generator.safetensors does not match its checksum",
        f"divergan {DRAW}",
    ),
    Hostile(
        "weights of 4 TB in 60 bytes, checksum forged",
        forged("runs", "generator.safetensors", LOST),
        "generator.safetensors is no safetensors file",
        f"divergan {DRAW}",
    ),
    Hostile(
        "weights of another network, checksum forged",
        forged("runs", "generator.safetensors", tensors({"0.weight": entry([2], 8)}, bytes(8))),
        "are not of the recipe's network",
        f"divergan {DRAW}",
    ),
    Hostile(
        "weights gone",
        lambda: result("runs", "generator.safetensors").unlink(),
        "generator.safetensors does not match its checksum",
        f"divergan {DRAW}",
    ),
    Hostile(
        "run.json of 100,000 brackets",
        lambda: result("runs", "run.json").write_text("[" * 100_000),
        "is damaged",
        "divergan explain results/smoke/runs/*",
    ),
    Hostile(
        "run.json without its facts",
        lambda: result("runs", "run.json").write_text("{}"),
        "not what divergan writes",
        "divergan explain results/smoke/runs/*",
    ),
    Hostile(
        "recipe.json is a list",
        lambda: result("runs", "recipe.json").write_text("[1]"),
        "is damaged",
        "divergan explain results/smoke/runs/*",
    ),
    Hostile("claims.yaml with a tag", whole("claims: !x []\n", "claims.yaml"), "the tag !x", "divergan claims"),
    Hostile("published.csv without ids", whole("a,b\n1,2\n", "data/published.csv"), "published.csv", "divergan claims"),
    Hostile("published.csv is no text", whole(b"\xff\xfe", "data/published.csv"), "published.csv", "divergan claims"),
    Hostile(
        "an objective that ends the program",
        whole("raise SystemExit(0)\n", "mine.py"),
        "mine.py does not run",
        "divergan check mine.py",
    ),
    Hostile("an objective that is no Python", whole("(", "mine.py"), "mine.py does not run", "divergan check mine.py"),
]

OWN = "divergan data mine"
DATA = [
    Hostile(
        "MNIST cut short",
        lambda: (
            params(("name: embedded", "name: mnist"))(),
            whole(bytes(99), "data/raw/mnist/train-images-idx3-ubyte")(),
        ),
        "train-images-idx3-ubyte is truncated or wrong",
        "divergan data mnist",
    ),
    Hostile("own description: no JSON", own("{"), "mine.json is not what `divergan import` writes", OWN),
    Hostile("own description: 100,000 brackets", own("[" * 100_000), "mine.json is not what", OWN),
    Hostile("own description: 1e999 images", own(described().replace("5000", "1e999")), "mine.json is not what", OWN),
    Hostile("own description: -1 images", own(described(count=-1)), "of the -1 in mine", OWN),
    Hostile(
        "own file: no safetensors", own(described(), b"PK\3\4" + bytes(60)), "mine.safetensors cannot be read", OWN
    ),
    Hostile("own file: claims 4 TB", own(described(), LOST), "mine.safetensors cannot be read", OWN),
    Hostile(
        "own file: a tensor named NaN",
        own(described(), tensors({"NaN": entry([1], 4)}, bytes(4))),
        "holds NaN F32",
        OWN,
    ),
    Hostile(
        "own file: bytes after the end",
        own(described(), tensors({"images": entry([1], 1, "U8")}, bytes(9))),
        "mine.safetensors cannot be read",
        OWN,
    ),
    Hostile("own file: signed pixels", own(described(count=1200), PIXELS), "holds images I8", OWN),
    Hostile("no such folder of images", NEVER, "photos is not a folder", IMPORT),
    Hostile("images named ../x", images(), "small letters", IMPORT.replace("mine", "../x")),
    Hostile("images named aux", images(), "a device on Windows", IMPORT.replace("mine", "aux")),
    Hostile("images at 10^6 pixels a side", images(), "too large", IMPORT.replace("16", "1000000")),
    Hostile(
        "an image cut short",
        images(lambda f: (f / "0.png").write_bytes((f / "0.png").read_bytes()[:-30])),
        "0.png",
        IMPORT,
    ),
    Hostile(
        "text named .png", images(lambda f: (f / "0.png").write_text("<svg/>")), "no image of a known format", IMPORT
    ),
    Hostile(
        "a PNG of 4 GB in 100 bytes",
        images(lambda f: (f / "0.png").write_bytes(png_bomb())),
        "decompression bomb",
        IMPORT,
    ),
    Hostile(
        "nothing but links to elsewhere",
        images(lambda f: [links_out(f / f"{n}.png") for n in range(2)]),
        "2 links were not followed",
        IMPORT,
    ),
    Hostile(
        "a FIFO, a loop of links",
        images(
            lambda f: [p.unlink() for p in f.iterdir()],
            lambda f: (os.mkfifo(f / "a.png"), (f / "loop").symlink_to(f.resolve())),
        ),
        "1 links were not followed",
        IMPORT,
    ),
]


COMMANDS = [
    Hostile("an unknown verb", NEVER, "No such command", "divergan nonsense"),
    Hostile("no images at all", NEVER, "greater than or equal to 1", "divergan sample x --n 0"),
    Hostile("10^12 images", NEVER, "100000", f"divergan sample {RUN} --n 1000000000000"),
    Hostile(
        "drawn into a folder", lambda: Path("a.png").mkdir(), "is a folder", f"divergan sample {RUN} --n 4 --out a.png"
    ),
    Hostile("drawn into a .pkl", NEVER, "ends in .png", f"divergan sample {RUN} --n 4 --out a.pkl"),
    Hostile("a port that is none", NEVER, "65535", "divergan ui --port 99999"),
    Hostile("minus one thread", NEVER, "greater than or equal to 1", f"divergan train {RUN} --threads -1"),
    Hostile(
        "more memory than there is",
        params(
            ("latent: 16 ", "latent: 2000000000 "),
            ("  critic: {name: mlp, hidden: [8]}", "  critic: {name: mlp, hidden: [8]} "),
            ("hidden: [8]}\n  critic", "hidden: [2000000]}\n  critic"),
        ),
        "out of memory",
        "divergan train bce.stabilised-s0",
    ),
]

IN_PROCESS = [*YAML, *NAMES, *FILES, *DATA, *COMMANDS]
SNAKEMAKE = [
    Hostile(
        "snakemake: a parameter on its command line",
        NEVER,
        "--config knows the key 'params' alone",
        "snakemake --cores 1 --config steps=3",
    ),
    Hostile("snakemake: billion laughs", before(BOMB), "write them out", "snakemake --cores 1"),
    Hostile("snakemake: study ../x", params(("study: smoke ", "study: ../x ")), PLAIN, "snakemake --cores 1"),
    Hostile(
        "snakemake: a file that is none",
        NEVER,
        "there is no parameter file",
        "snakemake --cores 1 --config params=../none.yaml",
    ),
]
ALL = [*IN_PROCESS, *SNAKEMAKE]


def table() -> None:
    """Print each input with what is said of it, as Markdown."""
    os.environ["DIVERGAN_TRACKING"] = "off"
    print("| input | command | exit | message |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stderr(io.StringIO()):
        made = project(Path(scratch, "made"))
        for number, hostile in enumerate(ALL):
            with contextlib.chdir(shutil.copytree(made, Path(scratch, str(number), "project"))):
                hostile.spoil()
                code, told = met(hostile)
            cells = (hostile.what, f"`{hostile.command}`", str(code), message(told)[:200])
            print("|", " | ".join(cell.replace("|", "\\|").replace("\0", "\\0") for cell in cells), "|", flush=True)
    print(f"\n{len(ALL)} inputs")


if __name__ == "__main__":
    table()
