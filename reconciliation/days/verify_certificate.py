"""Check certificates of a county's close from their exports alone: one file, no server, no network.

    python verify_certificate.py CERTIFICATE --export FOLDER [--keys FILE] [--county CODE] [--origin CHAIN]

It needs Python 3.11 and nothing else. The signature is checked by the ``cryptography`` package where it is installed,
else by the ``openssl`` program, else it says SIGNATURE NOT CHECKED. Exit 0: all holds. 1: something does not, and is
named. 2: usage. 3: what was checked holds, but something could not be checked, and is named.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORMAT = "revenue-engine close certificate 1"
DER_ED25519 = bytes.fromhex("302a300506032b6570032100")
"""What stands before an Ed25519 key in a SubjectPublicKeyInfo."""


class Refused(Exception):
    """The certificate or its export does not hold, and why."""


class NotChecked(Exception):
    """Something could not be checked, and why."""


# --- the note --------------------------------------------------------------------------------------------------------


def published(vkey: str) -> tuple[str, bytes, bytes]:
    """The name, the id and the raw Ed25519 key of a published key ``name+id+key``."""
    name, _, rest = vkey.strip().partition("+")
    told, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    own = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if len(raw) != 33 or raw[:1] != b"\x01" or told != own.hex():
        raise Refused(f"{vkey.strip()[:60]!r} is not a published key of the form name+id+key")
    return name, own, raw[1:]


def signed_by(text: bytes, signature: bytes, public: bytes) -> bool:
    """Whether an Ed25519 signature holds. Raises NotChecked where nothing here can tell."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return _by_openssl(text, signature, public)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _by_openssl(text: bytes, signature: bytes, public: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        parts = {"text": text, "signature": signature, "key": DER_ED25519 + public}
        for name, content in parts.items():
            (Path(folder) / name).write_bytes(content)
        told = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-keyform", "DER", "-inkey", f"{folder}/key"]
        told += ["-in", f"{folder}/text", "-sigfile", f"{folder}/signature"]
        try:
            done = subprocess.run(told, capture_output=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotChecked("SIGNATURE NOT CHECKED: neither cryptography nor openssl is at hand") from error
    said = (done.stdout + done.stderr).lower()
    if b"signature verified successfully" in said:
        return True
    if b"signature verification failure" in said:
        return False
    raise NotChecked("SIGNATURE NOT CHECKED: this openssl knows no Ed25519")


def opened(note: str, keys: list[tuple[str, bytes, bytes]]) -> tuple[str, str]:
    """The text of a note and what could not be checked of its signatures ("" for nothing). Raises Refused."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise Refused("this is no signed note: no blank line before its signatures")
    text += "\n"
    known = {(name, own): public for name, own, public in keys}
    signed, unchecked = False, ""
    for line in lines.splitlines():
        parts = re.fullmatch("\u2014 ([^ +]+) ([A-Za-z0-9+/=]+)", line)
        if parts is None:
            raise Refused(f"{line[:60]!r} is no signature line")
        raw = base64.b64decode(parts[2])
        public = known.get((parts[1], raw[:4]))
        if public is None:
            continue
        try:
            if not signed_by(text.encode(), raw[4:], public):
                raise Refused(f"the signature of the key {parts[1]} does not hold: the certificate was changed")
        except NotChecked as error:
            unchecked = str(error)
        signed = True
    if not signed:
        raise Refused("no key that you trust signed this certificate: it is a stranger's")
    return text, unchecked


# --- the body --------------------------------------------------------------------------------------------------------


def canonical(value: Any) -> bytes:
    """RFC 8785 for what a certificate holds: texts, whole numbers, true, false, null, lists and objects."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _number(text: str) -> Any:
    raise Refused(f"a certificate holds no number such as {text}: money is a text of cents")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("the certificate says something twice")
    return found


def body_of(text: str) -> dict[str, Any]:
    """The body of a certificate, once its four lines agree. Raises Refused."""
    lines = text.splitlines()
    if len(lines) != 4:
        raise Refused("the text of a certificate is four lines: chain, count, root and body")
    try:
        body = json.loads(lines[3], parse_float=_number, parse_constant=_number, object_pairs_hook=_once)
        again = canonical(body)
        seal = body["sheet"]["seal"]
        told = [body["origin"], str(seal["count"]), base64.b64encode(bytes.fromhex(seal["root"])).decode()]
        shown = hashlib.sha256(canonical(body["sheet"])).hexdigest()
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"the body cannot be read: {error}") from error
    if body.get("format") != FORMAT:
        raise Refused(f"{body.get('format')!r} is no certificate of this kind")
    if again != lines[3].encode():
        raise Refused("the body is not spelled as RFC 8785 spells it")
    if told != lines[:3]:
        raise Refused("the first lines are not what the body says")
    if shown != body["shown_sha256"]:
        raise Refused("the sheet is not what its two persons were shown")
    if body["prepared"]["by"] == body["approved"]["by"]:
        raise Refused("one person prepared and approved it")
    return dict(body)


# --- the tree --------------------------------------------------------------------------------------------------------


def root_of(leaves: list[bytes]) -> bytes:
    """The root of RFC 6962: pairs hashed with 0x01, an odd last one carried up."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = leaves
    while len(level) > 1:
        up = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = up + level[len(level) & ~1 :]
    return level[0]


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of an export, without their line breaks."""
    try:
        with path.open("rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise Refused(f"{path.name} cannot be read: {error.strerror}") from error


def named(line: bytes) -> str:
    """What row a line is of, as far as it can be told."""
    try:
        row = json.loads(line)
        return f"{row['table']} {row['row']}"
    except (ValueError, KeyError, TypeError):
        return repr(line[:60])


def check_rows(folder: Path, number: int, body: dict[str, Any]) -> None:
    """The lines of an export are those that were sealed: each, all of them, and in their order. Raises Refused."""
    seal = body["sheet"]["seal"]
    rows = folder / f"rows-{number:06d}.jsonl"
    leaves, tables = [], Counter[str]()
    for line in lines_of(rows):
        leaves.append(hashlib.sha256(b"\x00" + line).digest())
        try:
            tables[json.loads(line)["table"]] += 1
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"{rows.name} line {len(leaves)} is no row: {line[:60]!r}") from error
    if root_of(leaves).hex() == seal["root"] and len(leaves) == seal["count"]:
        if dict(tables) != seal["tables"]:
            raise Refused("the count of rows by table is not what the certificate says")
        return
    raise Refused(_which(folder, number, leaves, seal))


def _which(folder: Path, number: int, leaves: list[bytes], seal: dict[str, Any]) -> str:
    """Which lines are not what was sealed: told by the list of leaves, where that list is itself what was sealed."""
    rows, listed = folder / f"rows-{number:06d}.jsonl", folder / f"leaves-{number:06d}.txt"
    try:
        sealed = [bytes.fromhex(line.decode()) for line in lines_of(listed)]
    except (ValueError, Refused) as error:
        return f"the rows do not hash to the root, and {listed.name} cannot tell which: {error}"
    if root_of(sealed).hex() != seal["root"]:
        return f"neither the rows nor {listed.name} hash to the root of the certificate: it seals other rows"
    now, then = Counter(leaves), Counter(sealed)
    lines = list(lines_of(rows))
    wrong = [f"line {i + 1}, {named(lines[i])}" for i, leaf in enumerate(leaves) if now[leaf] > then[leaf]]
    gone = sum((then - now).values())
    if not wrong and not gone:
        return f"{rows.name}: the rows are not in the order in which they were sealed"
    told = "; ".join(wrong[:20]) or "no line"
    return f"{rows.name}: not what was sealed: {told}; sealed and not there: {gone}"


# --- the figures -----------------------------------------------------------------------------------------------------


class Added:
    """What the rows of exports add up to: accounts, receipts, and what was received on some book dates."""

    def __init__(self, first: str, last: str) -> None:
        self.first, self.last = first, last
        self.sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.papers = Counter[tuple[str, str]]()
        self.kinds: dict[str, str] = {}
        self.received = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add one row. A journal stands before its postings."""
        inside = row["book_date"] >= self.first
        if row["table"] == "journal":
            self.kinds[row["row"]] = row["kind"]
        elif row["table"] == "receipt":
            if inside:
                self.papers[row["kind"], row["financial_year"]] += int(row["amount_minor"])
        else:
            cents = int(row["amount_minor"])
            self.sums[row["debit"]][1 if inside else 0] += cents
            self.sums[row["credit"]][2 if inside else 0] += cents if inside else -cents
            paid = self.kinds.get(str(row["journal_id"])) == "payment_received"
            self.received += cents if inside and paid and row["channel_account_id"] else 0


SUMMED = (b'{"table":"posting"', b'{"table":"journal"', b'{"table":"receipt",')


def add_up(folder: Path, numbers: range, body: dict[str, Any]) -> list[str]:
    """What the certificate's figures say beside the rows of this and all earlier exports; a text a difference."""
    added = Added(body["first_day"], body["last_day"])
    for number in numbers:
        for line in lines_of(folder / f"rows-{number:06d}.jsonl"):
            if line.startswith(SUMMED) and (row := json.loads(line))["book_date"] <= added.last:
                added.add(row)
    figures = body["sheet"]["figures"]
    told = {one["account"]: one for one in figures["accounts"]}
    wrong = []
    for account in sorted(set(told) | set(added.sums)):
        opening, debits, credits_ = added.sums[account]
        found = [str(n) for n in (opening, debits, credits_, opening + debits - credits_)]
        says = [told.get(account, {}).get(name, "nothing") for name in ("opening", "debits", "credits", "closing")]
        if found != says:
            wrong.append(f"account {account}: the rows make {'/'.join(found)}, the certificate says {'/'.join(says)}")
    if str(added.received) != figures["received"]:
        wrong.append(f"received: the rows make {added.received}, the certificate says {figures['received']}")
    listed = {(one["kind"], one["financial_year"]): int(one["amount"]) for one in figures["papers"]}
    if listed != dict(added.papers):
        wrong.append(f"papers: the rows make {dict(added.papers)}, the certificate says {listed}")
    return wrong


# --- all of it -------------------------------------------------------------------------------------------------------


def check(certificate: Path, folder: Path, keys_file: Path | None, county: str, origin: str) -> list[str]:
    """Check a certificate with its export; returns what could not be checked. Raises Refused with what is wrong."""
    try:
        note = certificate.read_text(encoding="utf-8")
        keys_text = (keys_file or folder / "keys.txt").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Refused(f"cannot be read: {error}") from error
    keys = [published(line) for line in keys_text.splitlines() if line.strip()]
    text, unchecked = opened(note, keys)
    open_ends = [unchecked] if unchecked else []
    if keys_file is None:
        names = ", ".join(f"{name} {own.hex()}" for name, own, _ in keys)
        print(f"keys are those of the export: compare them with the county's notice: {names}")
    body = body_of(text)
    if county and body["county"] != county:
        raise Refused(f"it is a certificate of the county {body['county']}, not of {county}")
    if origin and body["origin"] != origin:
        raise Refused(f"it is of another chain: {body['origin']}")
    number = body["number"]
    open_ends += _check_chain(folder, number, body, keys)
    check_rows(folder, number, body)
    earlier = [n for n in range(1, number) if not (folder / f"rows-{n:06d}.jsonl").exists()]
    if earlier:
        open_ends.append(f"figures not checked: the exports of certificates {earlier[0]} to {earlier[-1]} are not here")
    else:
        wrong = add_up(folder, range(1, number + 1), body)
        if wrong:
            raise Refused("the figures are not what the rows make: " + "; ".join(wrong))
    return open_ends


def _check_chain(folder: Path, number: int, body: dict[str, Any], keys: list[tuple[str, bytes, bytes]]) -> list[str]:
    if number == 1:
        if body["previous_sha256"] is not None or body["sheet"]["seal"]["since"] != "0":
            raise Refused("the first certificate of a chain follows none")
        return []
    path = folder / f"certificate-{number - 1:06d}.txt"
    if not path.exists():
        return [f"chain not checked: certificate {number - 1} is not here"]
    note = path.read_text(encoding="utf-8")
    if hashlib.sha256(note.encode()).hexdigest() != body["previous_sha256"]:
        raise Refused(f"it does not follow certificate {number - 1} of this folder")
    before = body_of(opened(note, keys)[0])
    if before["origin"] != body["origin"] or before["sheet"]["seal"]["horizon"] != body["sheet"]["seal"]["since"]:
        raise Refused(f"it does not begin where certificate {number - 1} ended")
    return []


# --- an audit pack ---------------------------------------------------------------------------------------------------

PACK, SAMPLE = "revenue-engine audit pack 1", "revenue-engine audit sample 1"
MOST_FILES = 1_000
LARGEST = 64 << 20
"""Bytes of one file of a pack; a larger one is refused unread."""


def under(leaf: bytes, place: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that a leaf and its path make (RFC 9162, 2.1.3.2); None where they do not fit the size."""
    at, last = place, size - 1
    for node in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            leaf = hashlib.sha256(b"\x01" + node + leaf).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            leaf = hashlib.sha256(b"\x01" + leaf + node).digest()
        at, last = at >> 1, last >> 1
    return leaf if last == 0 else None


def unpacked(source: Path | io.BytesIO) -> dict[str, bytes]:
    """The files of a pack by name. Raises Refused for what is none."""
    try:
        with zipfile.ZipFile(source) as archive:
            told = archive.infolist()
            if any(one.file_size > LARGEST for one in told) or len(told) > MOST_FILES:
                raise Refused("the pack has more or larger files than any that we write")
            if len({one.filename for one in told}) != len(told):
                raise Refused("a file stands twice in the pack")
            return {one.filename: archive.read(one) for one in told}
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise Refused(f"the pack cannot be read: {error}") from error


def check_pack(path: Path, keys_file: Path | None) -> list[str]:
    """Check an audit pack or a sample of them; returns what could not be checked. Raises Refused with what is wrong."""
    files = unpacked(path)
    try:
        keys_text = keys_file.read_text(encoding="utf-8") if keys_file else files["keys.txt"].decode()
    except (OSError, ValueError, KeyError) as error:
        raise Refused(f"the pack cannot be read: {error}") from error
    keys = [published(line) for line in keys_text.splitlines() if line.strip()]
    if files.get("manifest.txt", b"").startswith(SAMPLE.encode()):
        return sampled(files, keys)
    return packed(files, keys)


def manifest_of(files: dict[str, bytes], keys: list[tuple[str, bytes, bytes]], form: str) -> tuple[dict[str, Any], str]:
    """The body of a signed manifest whose files are all there and as it says, and what could not be checked of the
    signature. Raises Refused."""
    try:
        text, unchecked = opened(files["manifest.txt"].decode(), keys)
        body = json.loads(text.splitlines()[2], parse_float=_number, parse_constant=_number, object_pairs_hook=_once)
        wrong = [n for n, told in body["files"].items() if hashlib.sha256(files.get(n, b"")).hexdigest() != told]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Refused(f"the manifest cannot be read: {error}") from error
    unknown = sorted(set(files) - set(body["files"]) - {"manifest.txt", "keys.txt"})
    if body.get("format") != form or wrong or unknown:
        raise Refused(f"not what the manifest says: {', '.join(wrong + unknown) or 'its format'}")
    return body, unchecked


def packed(files: dict[str, bytes], keys: list[tuple[str, bytes, bytes]]) -> list[str]:
    """Check the pack of one payment: each row under the root of the certificate that seals it."""
    body, unchecked = manifest_of(files, keys, PACK)
    rows, lines = body["rows"], files["rows.jsonl"].splitlines()
    if len(rows) != len(lines):
        raise Refused("not what the manifest says: its rows")
    sealed = {
        n: body_of(opened(files[n].decode(), keys)[0])["sheet"]["seal"] for n in files if n.startswith("certificates/")
    }
    open_ends = [unchecked] if unchecked else []
    for row, line in zip(rows, lines, strict=True):
        named_row = f"{row['table']} {row['row']}"
        if named(line) != named_row or hashlib.sha256(line).hexdigest() != row["sha256"]:
            raise Refused(f"{named_row} is not the line in the pack")
        if "path" not in row:
            open_ends.append(f"{named_row}: {row['why']}")
            continue
        seal = sealed[f"certificates/{row['certificate']:06d}.txt"]
        leaf = hashlib.sha256(b"\x00" + line).digest()
        root = under(leaf, row["place"], seal["count"], [bytes.fromhex(node) for node in row["path"]])
        if root is None or root.hex() != seal["root"]:
            raise Refused(f"{named_row} is not under the root of certificate {row['certificate']}")
    return open_ends + [f"no {stage}: {why}" for stage, why in body["no_document"].items()]


def sampled(files: dict[str, bytes], keys: list[tuple[str, bytes, bytes]]) -> list[str]:
    """Check several packs in one: the population against its count and total, the draw drawn again, and each pack."""
    body, unchecked = manifest_of(files, keys, SAMPLE)
    try:
        listed = [line.split(" ") for line in files["population.txt"].decode().splitlines()]
        amounts = {public_id: int(minor) for public_id, minor in listed}
        drawn, numbers = list(body["drawn"]), list(body["packs"])
        count, total, seed = body["population"], int(body["total"]), str(body["seed"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"the population cannot be read: {error}") from error
    if (len(listed), len(amounts), sum(amounts.values())) != (count, count, total):
        raise Refused(f"the population is not {count} payments of {total} cents")
    lots = sorted(amounts, key=lambda one: hashlib.sha256(f"{seed}\n{one}".encode()).digest())
    if drawn != lots[: len(drawn)] if seed else sorted(drawn) != sorted(amounts):
        raise Refused("the payments are not those that the seed draws")
    if len(numbers) != len(drawn) or len([n for n in files if n.startswith("packs/")]) != len(drawn):
        raise Refused("there is not one pack for each payment drawn")
    open_ends = [unchecked] if unchecked else []
    for place, (public_id, number) in enumerate(zip(drawn, numbers, strict=True), start=1):
        inner = unpacked(io.BytesIO(files.get(f"packs/{place:04d}.zip", b"")))
        try:
            open_ends += [f"{public_id}: {end}" for end in packed(inner, keys)]
        except Refused as error:
            raise Refused(f"{public_id}: {error}") from error
        told, _ = manifest_of(inner, keys, PACK)
        if (told.get("payment"), told.get("number")) != (public_id, number):
            raise Refused(f"pack {place} is not that of {public_id}")
    return open_ends


def main(arguments: list[str] | None = None) -> int:
    """Check one or more certificates; returns the exit code."""
    parser = argparse.ArgumentParser(description="Check certificates of a county's close from their exports alone.")
    parser.add_argument("certificate", type=Path, nargs="+", help="certificates, or audit packs (.zip)")
    parser.add_argument("--export", type=Path, default=Path(), help="folder that 'close export' wrote")
    parser.add_argument("--keys", type=Path, help="published keys that you trust, one a line; else those of the export")
    parser.add_argument("--county", default="", help="refuse a certificate of another county")
    parser.add_argument("--origin", default="", help="refuse a certificate of another chain")
    told = parser.parse_args(arguments)
    code = 0
    for certificate in told.certificate:
        try:
            if certificate.suffix == ".zip":
                open_ends = check_pack(certificate, told.keys)
            else:
                open_ends = check(certificate, told.export, told.keys, told.county, told.origin)
        except Refused as error:
            print(f"✗ {certificate.name}: {error}")
            code = 1
            continue
        for end in open_ends:
            print(f"! {certificate.name}: {end}")
            code = code or 3
        if not open_ends:
            print(f"✓ {certificate.name}")
    return code


if __name__ == "__main__":
    sys.exit(main())
