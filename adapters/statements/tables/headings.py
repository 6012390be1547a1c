"""Which table a heading row belongs to, why it is almost one, and where each field of a row stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.statements.rows import Rows
from adapters.statements.tables.layout import Table, plain
from revenue_engine.ports.statements import StatementFault, StatementRefused


def table_of(cells: Sequence[str], tables: tuple[Table, ...]) -> Table | None:
    """The table that knows a heading row, None where none does."""
    headings = frozenset(plain(cell) for cell in cells if cell and not cell.isspace())
    if len(headings) < 3:
        return None
    return next((table for table in tables if table.knows(headings)), None)


def almost(cells: Sequence[str], tables: tuple[Table, ...]) -> str:
    """Why a row that has most of a table's headings is still not its header; empty when it has not most of them."""
    headings = {plain(cell): cell.strip() for cell in cells if cell.strip()}
    known = set(headings)
    nearest = max(tables, key=lambda table: (len(known & table.required), -len(table.required), table.name))
    shared = known & nearest.required
    if len(shared) < 3 or 3 * len(shared) < 2 * len(nearest.required):
        return ""
    missing = sorted(nearest.required - known)
    strange = sorted(headings[name] for name in known - nearest.allowed)
    parts = [f"has no {', '.join(repr(name) for name in missing)}"] if missing else []
    if strange:
        parts.append(f"has {', '.join(repr(name) for name in strange)}, which nobody described")
    return (
        f"the heading row is almost that of {nearest.title} and {' and '.join(parts)}. Export it with its usual"
        " columns, or describe this layout in a table of its own ('revenue-engine statement table new FILE')"
    )


@dataclass(frozen=True, slots=True)
class Places:
    """Where each field stands in a row; -1 for one that this table has not."""

    booked: int
    value: int
    reference: int
    credit: int
    debit: int
    amount: int
    indicator: int
    balance: int
    account: int
    currency: int
    text: tuple[int, ...]


def places_of(table: Table, rows: Rows) -> Places:
    """Where the fields of a table stand. Raises StatementRefused where a heading stands twice."""
    names = [plain(cell) for cell in rows.header]
    for name in table.required:
        if names.count(name) > 1:
            raise StatementRefused(
                StatementFault.UNKNOWN_COLUMNS,
                f"the heading {rows.header[names.index(name)]!r} stands {names.count(name)} times, and which one counts"
                " is not said. Remove the columns that were added",
                line=rows.header_line,
            )

    def at(heading: str) -> int:
        return names.index(plain(heading)) if heading else -1

    columns = table.columns
    return Places(
        booked=at(columns.booked),
        value=at(columns.value),
        reference=at(columns.reference),
        credit=at(columns.credit),
        debit=at(columns.debit),
        amount=at(columns.amount),
        indicator=at(columns.indicator),
        balance=at(columns.balance),
        account=at(columns.account),
        currency=at(columns.currency),
        text=tuple(at(heading) for heading in columns.text),
    )
