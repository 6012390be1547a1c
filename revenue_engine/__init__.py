"""A cashless revenue collection and reconciliation engine for county governments."""

__version__ = "0.1.0"
