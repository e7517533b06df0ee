"""divergan: the reproducible study of GAN losses built from divergences."""

__version__ = "0.1.0"
