"""The command line: ``revenue-engine NOUN VERB``. Results on standard output, everything else on standard error."""

from revenue_engine.cli.app import main

__all__ = ["main"]
