"""pyro-fix rewrites Pyro programs so that they follow the sixteen SVI tips, and proves each rewrite by a run."""

__version__ = "0.1.0"
