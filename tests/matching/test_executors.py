"""Wherever the work is done, the answer is the same."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciliation.engine import executors, files, matching
from revenue_engine.errors import ConfigurationError, InvalidValue
from tests.matching import county

HAS_DASK = importlib.util.find_spec("distributed") is not None
NO_DASK = pytest.mark.skipif(not HAS_DASK, reason="the extra [dask] is not installed")


@pytest.mark.parametrize("name", ["inprocess", "processes", pytest.param("dask", marks=NO_DASK)])
def test_every_executor_gives_the_same_answer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "SLICE", 100)
    bills, payments = (path for path in county.make(21, 1200).write(tmp_path))
    tables = files.read_invoices(bills), files.read_payments(payments)
    alone = matching.match(*tables)
    with executors.open_executor(name, 0) as spread:
        assert spread.name == name
        assert matching.match(*tables, spread=spread).digest() == alone.digest()


def test_bills_may_come_while_texts_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done beside the rest, in a thread, changes nothing; and what fails there is not lost."""
    bills, payments = county.make(22, 1200).write(tmp_path)
    tables = files.read_invoices(bills), files.read_payments(payments)
    alone = matching.match(*tables)
    monkeypatch.setattr(matching, "WORTH_A_THREAD", 0)
    assert matching.match(*tables).digest() == alone.digest()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(files.read_invoices, bills)
        assert matching.match(coming, tables[1]).digest() == alone.digest()
        with pytest.raises(InvalidValue, match=r"paid\.csv"):
            matching.match(pool.submit(files.read_invoices, payments), tables[1])


def test_the_default_is_here_for_little_work() -> None:
    with executors.open_executor("auto", 1000) as spread:
        assert spread.name == "inprocess"


@pytest.mark.skipif(HAS_DASK, reason="the extra [dask] is installed")
def test_a_missing_extra_is_said() -> None:
    with pytest.raises(ConfigurationError, match="dask"), executors.open_executor("dask", 1000):
        pass


def test_slices_are_the_whole_in_order() -> None:
    assert executors.slices(list(range(7)), 3) == [[0, 1, 2], [3, 4, 5], [6]]
    assert executors.slices([], 3) == []
