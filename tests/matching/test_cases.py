"""Small inputs that were once answered wrongly, with their right answer; they stand beside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciliation.engine import files, matching

CASES = Path(os.environ.get("REVENUE_SHARED", Path(__file__).parents[3] / "shared")) / "cases"

RIGHT = {
    "CH05-permit-glued": "263158952 2000.00",
    "CQ01-cheque-and-branch": "",
    "CQ03-cheque-no-dash": "",
    "LR41-land-reference-without-its-section": "263158952 2000.00",
    "LR48-land-reference-angoromo": "263158952 2000.00",
    "LR57-lr-number-prefix": "263158952 2000.00",
    "MK01-masked-phone-narrative": "",
    "MK03-masked-phone-beside-plate": "263158952 2000.00",
    "NU70-cancelled-bill-is-called-paid": "",
    "P901-phone-nine-digits-own": "263158952 1500.00",
    "PH01-phone-254-space-equal-amount": "",
    "PH02-phone-254-space-other-amount": "263158952 1500.00",
    "PH04-phone-254-dashes": "",
    "PH06-phone-0-space": "263158952 1500.00",
    "PH07-phone-254-brackets": "263158952 1500.00",
    "PH16-phone-254-1xx-series": "",
    "PN01-permit-year-serial-payer": "263158952 2000.00",
    "PN05-permit-year-serial-half": "",
    "PN06-permit-year-dash-serial-other-amount": "263158952 3000.00",
    "PT04-plate-and-phone-of-another-debtor": "",
    "PX02-plate-and-phone-254": "263158952 300.00",
    "PX04-number-and-phone-254": "263158952 300.00",
    "SD01-subdivision-of-a-plot": "",
    "SD03-plot-77-b": "",
    "SD05-stall-45-a": "",
    "SP01-block-stroke-moved": "",
    "SP03-section-plot-stroke-moved": "",
    "SP12-block-verbatim-is-a-tie": "263158952 2000.00",
}
"""The bill and the amount that the one payment pays; nothing where it is left for a person."""
SAID = {
    "NU70-cancelled-bill-is-called-paid": "263158952 is a cancelled bill of this payer",
    "SD01-subdivision-of-a-plot": "goes on after NASEWA/1500",
    "SP01-block-stroke-moved": "the separators of what was typed stand elsewhere than in BLOCK 12/34",
    "CQ01-cheque-and-branch": "a cheque's number",
    "PT04-plate-and-phone-of-another-debtor": "both owe this amount",
    "PH01-phone-254-space-equal-amount": "the phone that was typed",
}


def _answer(case: str) -> matching.Outcome:
    folder = CASES / f"matching-{case}"
    if not folder.is_dir():
        pytest.skip(f"the case {case} does not stand beside the project")
    return matching.match(files.read_invoices(folder / "bills.csv"), files.read_payments(folder / "payments.csv"))


@pytest.mark.parametrize("case", RIGHT)
def test_a_small_input_is_answered_rightly(case: str) -> None:
    found = _answer(case)
    assert " ".join(f"{row['invoice_number']} {row['amount']}" for row in found.matches.to_pylist()) == RIGHT[case]


@pytest.mark.parametrize("case", SAID)
def test_what_is_left_says_why(case: str) -> None:
    (row,) = _answer(case).breaks.to_pylist()
    assert SAID[case] in row["why_not"]
