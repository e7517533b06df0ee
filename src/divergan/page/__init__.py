"""The browsable page: one HTML file that opens from disk with the network off.

`render` puts content (see content.py and theory.py) into page.html.j2, with its style, its scripts and its pictures
inside. It reads no result, so the page has no number that the report's tables do not have; and it has neither date nor
random id, so equal content gives equal bytes.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["HERE", "SCRIPTS", "render"]

HERE = Path(__file__).parent
SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "page.js")  # in the order in which they run
JSON = {"sort_keys": True, "allow_nan": False, "separators": (",", ":")}


def render(content: Mapping[str, Any]) -> str:
    """The page's HTML. Names and titles in the content are text: whatever marks they have are escaped."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = JSON
    scripts = [(HERE / name).read_text("utf-8") for name in SCRIPTS]
    style = (HERE / "page.css").read_text("utf-8")
    return environment.get_template("page.html.j2").render(
        content, policy=policy(scripts), style=Markup(style), scripts=list(map(Markup, scripts))
    )


def policy(scripts: list[str]) -> str:
    """What a browser lets the page do: run these scripts and no other, show what is inside, load nothing."""
    sums = (b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in sums)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"
