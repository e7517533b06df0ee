"""The commands: one verb, one subcommand. The only package that knows their arguments.

pipeline.py has the verbs in order, asking.py what a person asks, keeping.py what looks after a checkout; what they
share, and what a shell completes, is in options.py. --help lists them in the order of these imports.
"""

# ruff: noqa: I001
from divergan.commands.options import app
from divergan.commands import pipeline, asking, keeping

__all__ = ["app", "asking", "keeping", "pipeline"]
