"""Statement files of any length, the same for the same seed: what a county's collection account sees in a month.

Settlements of mobile money, transfers, cheques, counter deposits, charges with their excise duty, sweeps to the County
Revenue Fund and now and then a reversal, in the shapes banks give them. Names and numbers are made up.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

ACCOUNT = "0114000000000"
OPENING_MINOR = 123_456_789
FIRST_DAY = date(2026, 10, 1)
DAYS = 31
NAMES = (
    "JANE WANJIKU DOE",
    "JOHN OTIENO ROE",
    "MAMA MBOGA STORES",
    "MALABA HAULIERS LTD",
    "FUNYULA SACCO",
    "P. Q. AKINYI",
)
STREAMS = ("SINGLE BUSINESS PERMIT", "LAND RATES", "PARKING", "CESS", "MARKET FEE", "HOUSE RENT")


@dataclass(frozen=True, slots=True)
class Move:
    """One movement of the account, in cents, signed by its effect."""

    day: date
    amount: int
    code: str
    reference: str
    text: str
    name: str
    parts: tuple[int, ...] = ()


def moves(count: int, seed: int = 1) -> Iterator[Move]:
    """So many movements in the order of their days."""
    chance = random.Random(seed)
    for number in range(count):
        day = FIRST_DAY + timedelta(days=number * DAYS // count)
        reference = f"FT26{chance.randrange(10**9):09d}"
        bill = f"{chance.randrange(10**8, 10**9)}"
        name, stream = chance.choice(NAMES), chance.choice(STREAMS)
        what = chance.random()
        if what < 0.55:
            text = f"{stream} {bill} {name} 2547{chance.randrange(10**8):08d}"
            yield Move(day, chance.randrange(5_000, 5_000_000), "TRF", reference, text, name)
        elif what < 0.70:
            parts = tuple(chance.randrange(5_000, 300_000) for _ in range(chance.randrange(2, 7)))
            yield Move(day, sum(parts), "TRF", reference, f"BULK SETTLEMENT OF COLLECTIONS {bill}", name, parts)
        elif what < 0.80:
            yield Move(day, chance.randrange(100_000, 90_000_000), "CHK", reference, f"CHEQUE {bill[:6]} {name}", name)
        elif what < 0.95:
            yield Move(day, -chance.randrange(3_000, 30_000), "CHG", reference, "LEDGER FEE AND EXCISE DUTY", "")
        elif what < 0.98:
            yield Move(day, -chance.randrange(1_000_000, 9_000_000), "TRF", reference, "SWEEP TO CRF", "CENTRAL BANK")
        else:
            yield Move(day, -chance.randrange(5_000, 500_000), "RTI", reference, f"REVERSAL OF {bill}", name)


def _swift_amount(minor: int) -> str:
    return f"{minor // 100},{minor % 100:02d}"


def _narrative(number: int, move: Move) -> str:
    """One in ten in the Dutch structure, one in ten in the German one, else free text as banks here write it."""
    if number % 10 == 0 and move.name:
        return f"/TRTP/PESALINK/NAME/{move.name}/REMI/{move.text}/EREF/{move.reference}"
    if number % 10 == 1 and move.name:
        pieces = [move.text[at : at + 27] for at in range(0, len(move.text), 27)]
        purpose = "".join(f"?{20 + at}{piece}" for at, piece in enumerate(pieces))
        return f"166?00CREDIT TRANSFER?10931{purpose}?30KCBLKENX?3101140000?32{move.name}"
    return f"{move.text} {move.reference} COLLECTION ACCOUNT OF THE COUNTY AT THE BRANCH"


def write_mt940(path: Path, count: int) -> None:
    """An MT940 of one statement with so many entries, which adds up."""
    balance = OPENING_MINOR
    with path.open("w", encoding="ascii", newline="\r\n") as out:
        out.write(f":20:STMT{count}\n:25:{ACCOUNT}\n:28C:10/1\n:60F:C{FIRST_DAY:%y%m%d}KES{_swift_amount(balance)}\n")
        for number, move in enumerate(moves(count)):
            balance += move.amount
            mark = "C" if move.amount > 0 else "RC" if move.code == "RTI" else "D"
            amount = _swift_amount(abs(move.amount))
            out.write(f":61:{move.day:%y%m%d%m%d}{mark}{amount}N{move.code}NONREF//{move.reference}\n")
            told = _narrative(number, move)
            lines = [told[at : at + 65] for at in range(0, len(told), 65)]
            out.write(":86:" + "\n".join(lines) + "\n")
        sign = "C" if balance >= 0 else "D"
        last = FIRST_DAY + timedelta(days=DAYS - 1)
        out.write(f":62F:{sign}{last:%y%m%d}KES{_swift_amount(abs(balance))}\n-\n")


def _decimal(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _balance(kind: str, minor: int, day: date) -> str:
    way = "CRDT" if minor >= 0 else "DBIT"
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy='KES'>{_decimal(abs(minor))}</Amt>"
        f"<CdtDbtInd>{way}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>\n"
    )


def _details(move: Move, part: int, number: int) -> str:
    way, side = ("CRDT", "Dbtr") if move.amount > 0 else ("DBIT", "Cdtr")
    party = f"<RltdPties><{side}><Nm>{move.name}</Nm></{side}></RltdPties>" if move.name else ""
    return (
        f"<TxDtls><Refs><EndToEndId>E2E-{move.reference}-{number}</EndToEndId><TxId>{move.reference}{number}</TxId></Refs>"
        f"<Amt Ccy='KES'>{_decimal(part)}</Amt><CdtDbtInd>{way}</CdtDbtInd>\n"
        f"{party}<RmtInf><Ustrd>{move.text}</Ustrd></RmtInf></TxDtls>\n"
    )


def write_camt053(path: Path, count: int) -> None:
    """A camt.053.001.02 of one statement with so many entries, batches among them, which adds up."""
    closing = OPENING_MINOR + sum(move.amount for move in moves(count))
    last = FIRST_DAY + timedelta(days=DAYS - 1)
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write(
            "<?xml version='1.0' encoding='UTF-8'?>\n"
            "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.02'><BkToCstmrStmt><GrpHdr><MsgId>M1</MsgId>"
            f"<CreDtTm>2026-11-01T06:00:00+03:00</CreDtTm></GrpHdr><Stmt><Id>STMT{count}</Id>"
            "<ElctrncSeqNb>10</ElctrncSeqNb><CreDtTm>2026-11-01T06:00:00+03:00</CreDtTm>\n"
            f"<Acct><Id><Othr><Id>{ACCOUNT}</Id></Othr></Id><Ccy>KES</Ccy></Acct>\n"
        )
        out.write(_balance("OPBD", OPENING_MINOR, FIRST_DAY) + _balance("CLBD", closing, last))
        for move in moves(count):
            way, size = ("CRDT" if move.amount > 0 else "DBIT"), abs(move.amount)
            reversal = "<RvslInd>true</RvslInd>" if move.code == "RTI" else ""
            details = "".join(_details(move, part, at) for at, part in enumerate(move.parts or (size,)))
            out.write(
                f"<Ntry><Amt Ccy='KES'>{_decimal(size)}</Amt><CdtDbtInd>{way}</CdtDbtInd>{reversal}<Sts>BOOK</Sts>\n"
                f"<BookgDt><Dt>{move.day}</Dt></BookgDt><ValDt><Dt>{move.day}</Dt></ValDt>\n"
                f"<AcctSvcrRef>{move.reference}</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd>"
                f"<SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>\n<NtryDtls>{details}</NtryDtls></Ntry>\n"
            )
        out.write("</Stmt></BkToCstmrStmt></Document>\n")


def _grouped(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02d}"


def write_table(path: Path, count: int) -> None:
    """A bank's CSV export with so many entries, days first and thousands with a comma, whose balances run."""
    balance = OPENING_MINOR
    with path.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("KCB Bank Kenya", "Statement of account"))
        rows.writerow(("Account", ACCOUNT))
        rows.writerow(
            (
                "Transaction Date",
                "Value Date",
                "Transaction Details",
                "Reference",
                "Money Out",
                "Money In",
                "Ledger Balance",
            )
        )
        first = f"{FIRST_DAY:%d/%m/%Y}"
        rows.writerow((first, first, "Balance brought forward", "", "", "", _grouped(balance)))
        for move in moves(count):
            balance += move.amount
            money = ("", _grouped(move.amount)) if move.amount > 0 else (_grouped(-move.amount), "")
            day = f"{move.day:%d/%m/%Y}"
            rows.writerow((day, day, move.text, move.reference, *money, _grouped(balance)))
        last = f"{FIRST_DAY + timedelta(days=DAYS - 1):%d/%m/%Y}"
        rows.writerow((last, last, "Balance carried forward", "", "", "", _grouped(balance)))


WRITERS: dict[str, Callable[[Path, int], None]] = {"mt940": write_mt940, "camt": write_camt053, "table": write_table}
"""How the file of a reader, by the reader's name, is written."""
ENDINGS = {"mt940": "sta", "camt": "xml", "table": "csv"}
