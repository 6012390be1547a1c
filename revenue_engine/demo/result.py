"""What a demo came to: the answer a program reads, and what a person is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from adapters.sandbox.mpesa_people import Bill
from revenue_engine.demo.comparing import Comparison
from revenue_engine.demo.finding import Found
from revenue_engine.demo.persons import Made
from revenue_engine.money import wire


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The figures of the books after the demo, and whether they are the truth's."""

    first: date
    last: date
    payments: int
    callbacks: int
    withheld_minor: int
    found: Found
    comparison: Comparison
    seconds: float
    timings: dict[str, float]
    """Seconds by phase, in the order of the phases."""
    database_url: str = field(repr=False)
    report_url: str = field(repr=False)
    callback_url: str = field(repr=False)
    persons: list[Made] = field(repr=False)
    """Who signs in at the desk."""
    shortcode: str
    open_bill: Bill
    """A bill nobody has paid, for whoever wants to."""
    some_code: str = ""
    """The reference of one payment that nobody could place, to look for."""

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing twice, every control at zero, and the truth agrees."""
        return self.comparison.agrees

    def as_dict(self) -> dict[str, object]:
        """The answer of ``demo --json``: ``*_minor`` are whole cents, differences are decimal strings in shillings."""
        figures = self.comparison.figures
        return {
            "ok": self.ok,
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "delivered_minor": figures["delivered"],
            "withheld_minor": self.withheld_minor,
            "found_minor": self.found.minor,
            "found": {"pull": self.found.pulled, "statement": self.found.stated},
            "reversed_minor": figures["reversed"],
            "applied_minor": figures["applied"],
            "suspense_minor": figures["suspense"],
            "unapplied_minor": figures["unapplied"],
            "receipts": self.comparison.receipts,
            "lost": self.comparison.lost,
            "doubled": self.comparison.doubled,
            "control_differences": {name: wire(amount) for name, amount in self.comparison.controls.items()},
            "disagreements": [
                {"what": line.what, "truth": line.truth, "books": line.books, "where": line.where}
                for line in self.comparison.lines
                if not line.agrees
            ],
        }
