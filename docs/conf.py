"""The site of docs/: Sphinx with MyST's Markdown and the theme Furo; nothing is fetched when a page is read."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

sys.path.insert(0, str(Path(__file__).parent))
import generated

project = "divergan"
author = "the authors of divergan"
extensions = ["myst_parser", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated"]
suppress_warnings = ["myst.header"]  # the decisions begin with a number's heading, as they always did

html_theme = "furo"
html_title = "divergan"
# A font with the tables that MathML needs, for machines that have none: STIX Two Math, which comes with ziamath.
html_static_path = ["_static", str(Path(find_spec("ziamath").origin).parent / "fonts")]
html_css_files = ["divergan.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False


def mathml(latex: str, display: str = "inline") -> str:
    """MathML Core sets no space between a function's name and what it is applied to."""
    spaced = r'<mo lspace="0.17em" rspace="0.17em">\1</mo>'
    return re.sub(r"<mi>(log|sup|tanh)</mi>(?!<mrow><mo[^>]*>&#x00028;)", spaced, convert(latex, display=display))


def in_a_line(translator: Any, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def on_its_own(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """MathML needs no script and no font from elsewhere; pages that come from declarations are written first."""
    app.add_html_math_renderer("mathml", (in_a_line, None), (on_its_own, None))
    app.connect("builder-inited", lambda app: generated.write(Path(app.srcdir) / "_generated"))
