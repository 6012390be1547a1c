"""The quick-start pages say what is so: their test vectors, their answers, their commands."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from adapters import bodies, conformance, proofs, readings
from adapters.kcb import KcbSettings
from adapters.kcb import adapter as kcb
from adapters.mpesa import adapter as mpesa
from adapters.signed_json import coop, equity, ncba
from revenue_engine.ports.callbacks import AckOutcome

PAGES = Path(__file__).parents[2] / "docs" / "adapters"


def block(page: str, kind: str) -> str:
    found = re.search(rf"^```{kind}\n(.*?)\n```$", (PAGES / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no {kind} block"
    return found[1]


def test_the_signature_of_the_kcb_page_is_right() -> None:
    body, signature = block("kcb.md", "text").encode(), block("kcb.md", "signature")
    settings = KcbSettings(account="1100100", public_keys=(block("kcb.md", "pem"),))
    assert kcb.verify({"signature": signature}, body, "", settings).accepted
    assert not kcb.verify({"signature": signature}, body.replace(b"1,500.00", b"9,500.00"), "", settings).accepted
    assert kcb.ack_for(AckOutcome.KEPT, body).decode() in (PAGES / "kcb.md").read_text("utf-8")


def test_the_hash_of_the_ncba_page_is_right() -> None:
    fields = re.findall(r"`([^`]+)`", (PAGES / "signed-json.md").read_text("utf-8").split("`test-secret`", 1)[1])[:8]
    assert proofs.salted([*fields, "1"], secret="test-secret", inside="hex") == block("signed-json.md", "hash")


@pytest.mark.parametrize(
    ("adapter", "page"), [(mpesa, "mpesa.md"), (ncba, "signed-json.md"), (equity, "signed-json.md")]
)
def test_the_answers_of_the_pages_are_the_adapters(adapter: conformance.CallbackAdapter, page: str) -> None:
    assert adapter.ack(AckOutcome.KEPT).decode() in (PAGES / page).read_text("utf-8")


def test_the_coop_answer_is_the_pages_form() -> None:
    shown = re.search(r"`(\{\"MessageReference\".*?\})`", (PAGES / "signed-json.md").read_text("utf-8"))
    assert shown is not None
    assert shown[1].replace("…", "") == coop.ack(AckOutcome.KEPT).decode()


def test_the_number_of_checks_is_the_one_told() -> None:
    assert f"{len(conformance.CHECKS)} checks;" in (PAGES / "how-to.md").read_text("utf-8")


@pytest.mark.parametrize("module", [proofs, readings, bodies])
def test_every_function_an_adapter_may_use_is_told_with_its_parameters(module: ModuleType) -> None:
    page = (PAGES / "how-to.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `(\w+)\((.*?)\)` \|", page, re.MULTILINE))
    public = {
        name: inspect.signature(function)
        for name, found in inspect.getmembers(module)
        if inspect.isfunction(function := inspect.unwrap(found)) and function.__module__ == module.__name__
        if not name.startswith("_")
    }
    assert len(public) >= 2
    for name, signature in public.items():
        bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
        shown = str(inspect.Signature(bare)).replace("'", '"')
        assert f"({told.get(name)})" == shown, name
