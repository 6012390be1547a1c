"""Statements of banks as tables: one engine, and each bank's export described in a TOML file beside this one.

A bank that is not here needs a file and no code. `reader` knows the tables of this package; `TableReader` takes the
tables of any directory (`load_tables`).
"""

from adapters.statements.tables.layout import Table, conflicts, load_tables
from adapters.statements.tables.reading import TableReader

__all__ = ["Table", "TableReader", "conflicts", "load_tables", "reader"]

reader = TableReader()
