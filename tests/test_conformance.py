"""The conformance kit on every installed adapter, and the kit itself on adapters that are wrong in one way each."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import conformance
from adapters.kcb import adapter as kcb
from adapters.mpesa import adapter as mpesa
from adapters.signed_json import coop, creditbank, equity, jenga, ncba

FIXTURES = Path(__file__).parent / "adapters"

TestMpesa = conformance.suite(mpesa, FIXTURES / "mpesa")
TestKcb = conformance.suite(kcb, FIXTURES / "kcb")
TestNcba = conformance.suite(ncba, FIXTURES / "signed_json" / "ncba")
TestCoop = conformance.suite(coop, FIXTURES / "signed_json" / "coop")
TestEquity = conformance.suite(equity, FIXTURES / "signed_json" / "equity")
TestJenga = conformance.suite(jenga, FIXTURES / "signed_json" / "jenga")
TestCreditbank = conformance.suite(creditbank, FIXTURES / "signed_json" / "creditbank")
