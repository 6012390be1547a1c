"""The chart of accounts: the control accounts every county has, and how accounts of streams and channels are named.

An account code is its control account and, after a dot, what it is for: ``1300.SBP`` is the receivable of the stream
SBP and rolls up to ``1300``. Pure: no database here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

COMPONENTS = ("costs", "penalty", "interest", "arrears", "principal")
"""The parts of a bill in the order in which money pays them: costs and fines, penalty, interest, the oldest principal
(arrears of earlier years), then this year's principal."""


class AccountType(enum.StrEnum):
    """What an account is; assets and expenses grow by debits, the rest by credits."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    CONTRA_REVENUE = "contra_revenue"
    EXPENSE = "expense"
    MEMO = "memo"

    @property
    def grows_by_debit(self) -> bool:
        """Whether a debit increases the account."""
        return self in {AccountType.ASSET, AccountType.EXPENSE, AccountType.CONTRA_REVENUE, AccountType.MEMO}


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account to be opened."""

    code: str
    name: str
    type: AccountType
    parent: str | None = None
    stream_code: str | None = None
    component: str | None = None


CRF = "1000"
CRF_IN_TRANSIT = "1050"
BANK = "1100"
CLEARING = "1200"
RECEIVABLE = "1300"
INSURER_RECEIVABLE = "1390"
COLLECTOR_CUSTODY = "1400"
CHARGES_TO_REIMBURSE = "1450"
DUE_FROM_ENTITY = "1480"
UNAPPLIED_CREDIT = "2100"
SUSPENSE = "2200"
MISDIRECTED = "2210"
REFUNDS_PAYABLE = "2300"
DUE_TO_ENTITY = "2480"
DUE_TO_CONCESSIONAIRE = "2500"
DUE_TO_FACILITY = "2600"
ACCUMULATED_BALANCE = "3000"
REVENUE = "4000"
WAIVER = "4800"
DISCOUNT = "4810"
EXEMPTION = "4820"
ADJUSTMENT = "4830"
FACILITY_SHARE = "4860"
CONCESSION_SHARE = "4870"
WRITE_OFF = "4890"
CHARGES = "5900"
MEMO_CONTROL = "9000"
MEMO_WRITTEN_OFF = "9100"

CONTROL_ACCOUNTS: tuple[AccountSpec, ...] = (
    AccountSpec(CRF, "County Revenue Fund at the Central Bank", AccountType.ASSET),
    AccountSpec(CRF_IN_TRANSIT, "County Revenue Fund, in transit", AccountType.ASSET),
    AccountSpec(BANK, "Collection bank accounts", AccountType.ASSET),
    AccountSpec(CLEARING, "Channel clearing", AccountType.ASSET),
    AccountSpec(RECEIVABLE, "Receivable from payers", AccountType.ASSET),
    AccountSpec(INSURER_RECEIVABLE, "Receivable from insurers", AccountType.ASSET),
    AccountSpec(COLLECTOR_CUSTODY, "Held by collectors (cash exceptions)", AccountType.ASSET),
    AccountSpec(CHARGES_TO_REIMBURSE, "Bank charges to be reimbursed", AccountType.ASSET),
    AccountSpec(DUE_FROM_ENTITY, "Due from another lawful entity", AccountType.ASSET),
    AccountSpec(UNAPPLIED_CREDIT, "Unapplied credit of known payers", AccountType.LIABILITY),
    AccountSpec(SUSPENSE, "Suspense, not identified", AccountType.LIABILITY),
    AccountSpec(MISDIRECTED, "Misdirected, not the county's", AccountType.LIABILITY),
    AccountSpec(REFUNDS_PAYABLE, "Refunds payable", AccountType.LIABILITY),
    AccountSpec(DUE_TO_ENTITY, "Due to another lawful entity", AccountType.LIABILITY),
    AccountSpec(DUE_TO_CONCESSIONAIRE, "Due to concessionaires", AccountType.LIABILITY),
    AccountSpec(DUE_TO_FACILITY, "Due to facilities (retained by law)", AccountType.LIABILITY),
    AccountSpec(ACCUMULATED_BALANCE, "Accumulated balance (opening balances at cut-over)", AccountType.EQUITY),
    AccountSpec(REVENUE, "Revenue", AccountType.REVENUE),
    AccountSpec(WAIVER, "Waivers", AccountType.CONTRA_REVENUE),
    AccountSpec(DISCOUNT, "Discounts", AccountType.CONTRA_REVENUE),
    AccountSpec(EXEMPTION, "Exemptions", AccountType.CONTRA_REVENUE),
    AccountSpec(ADJUSTMENT, "Adjustments", AccountType.CONTRA_REVENUE),
    AccountSpec(FACILITY_SHARE, "Retained by facilities", AccountType.CONTRA_REVENUE),
    AccountSpec(CONCESSION_SHARE, "Concessionaires' share", AccountType.CONTRA_REVENUE),
    AccountSpec(WRITE_OFF, "Write-offs", AccountType.CONTRA_REVENUE),
    AccountSpec(CHARGES, "Bank and channel charges", AccountType.EXPENSE),
    AccountSpec(MEMO_CONTROL, "Memorandum control", AccountType.MEMO),
    AccountSpec(MEMO_WRITTEN_OFF, "Written off, still recoverable", AccountType.MEMO),
)


def receivable(stream_code: str) -> str:
    """The receivable account of a stream."""
    return f"{RECEIVABLE}.{stream_code}"


def revenue(stream_code: str, component: str) -> str:
    """The revenue account of one component of a stream."""
    return f"{REVENUE}.{stream_code}.{component}"


def clearing(channel_account: int | str) -> str:
    """The clearing account of a channel account: what that channel holds for us."""
    return f"{CLEARING}.{channel_account}"


def bank(account: str) -> str:
    """The account of one collection bank account."""
    return f"{BANK}.{account}"


def stream_accounts(stream_code: str, name: str) -> list[AccountSpec]:
    """The accounts a stream needs: its receivable and its revenue per component."""
    specs = [
        AccountSpec(
            receivable(stream_code), f"Receivable: {name}", AccountType.ASSET, RECEIVABLE, stream_code=stream_code
        )
    ]
    specs += [
        AccountSpec(
            revenue(stream_code, component),
            f"{name}: {component}",
            AccountType.REVENUE,
            REVENUE,
            stream_code=stream_code,
            component=component,
        )
        for component in COMPONENTS
    ]
    return specs


def clearing_account(channel_account: int | str, name: str) -> AccountSpec:
    """The clearing account of a new channel account."""
    return AccountSpec(clearing(channel_account), f"Clearing: {name}", AccountType.ASSET, CLEARING)


def bank_account(account: str, name: str) -> AccountSpec:
    """The ledger account of a new collection bank account."""
    return AccountSpec(bank(account), f"Bank: {name}", AccountType.ASSET, BANK)
