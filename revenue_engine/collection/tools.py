"""What a worker lends to the work it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from revenue_engine.ports.callbacks import CallbackAdapter
from revenue_engine.ports.statements import StatementReader


@dataclass(frozen=True, slots=True)
class Tools:
    """Adapters, statement readers, the folder of secrets, and a way to say that long work still goes on."""

    adapters: Mapping[str, CallbackAdapter]
    readers: Mapping[str, StatementReader] = field(default_factory=dict)
    secrets_dir: Path | None = None
    """Folder of the secrets that channel settings name by file."""
    still_at_it: Callable[[], None] = lambda: None
    """Extends the lease on the job in hand. Raises Retryable where the lease was lost."""
    found: Callable[[int], None] = lambda _: None
    """Told how many payments the work found that no message had told of."""
