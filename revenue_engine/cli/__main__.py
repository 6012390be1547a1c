"""``python -m revenue_engine.cli`` is ``revenue-engine``."""

from revenue_engine.cli.app import main

main()
