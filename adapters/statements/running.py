"""The running balance as proof: each movement must lead from one balance to the next, row by row."""

from __future__ import annotations

from revenue_engine.money import wire


class Chain:
    """One way to follow the balances of a file: from its first row down, or from its last row up.

    Amounts are cents, signed by their effect. A row without a balance is carried to the next one that has one.
    """

    __slots__ = ("_first", "_line", "_since", "breaks", "broken", "broken_line", "known", "newest_first")

    def __init__(self, *, newest_first: bool) -> None:
        self.newest_first = newest_first
        self.known: int | None = None
        """The last balance met."""
        self.breaks = 0
        self.broken_line: int | None = None
        self.broken = ""
        self._first: int | None = None
        self._since = 0
        self._line = 0

    @property
    def opening(self) -> int | None:
        """The balance before the oldest row met, or None when no row had one."""
        if not self.newest_first or self.known is None:
            return self._first
        return self.known - self._since

    @property
    def closing(self) -> int | None:
        """The balance after the newest row met, or None when no row had one."""
        if self.newest_first or self.known is None:
            return self._first
        return self.known + self._since

    def add(self, line: int, effect: int, balance: int | None) -> None:
        """Follow one row; ``balance`` is what the row says stands after it, None where it says nothing."""
        if self.newest_first:
            self._up(line, effect, balance)
        else:
            self._down(line, effect, balance)

    def _down(self, line: int, effect: int, balance: int | None) -> None:
        since = self._since + effect
        if balance is None:
            self._since = since
        else:
            known = self.known
            if known is None:
                self._first = balance - since
            elif known + since != balance:
                self._break(line, known, since, balance)
            self.known = balance
            self._since = 0

    def _up(self, line: int, effect: int, balance: int | None) -> None:
        if balance is None:
            self._since += effect
        else:
            known = self.known
            if known is None:
                self._first = balance + self._since
            elif balance + self._since != known:
                self._break(self._line, balance, self._since, known)
            self.known = balance
            self._since = effect
            self._line = line

    def _break(self, line: int, before: int, movement: int, balance: int) -> None:
        self.breaks += 1
        if self.broken_line is None:
            self.broken_line = line
            self.broken = (
                f"the balance before is {wire(before)} and the movement {wire(movement)}, so the balance should be"
                f" {wire(before + movement)} and is {wire(balance)}. A row was changed, lost or added; ask for the"
                " file anew"
            )
