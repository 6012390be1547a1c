"""How payers and banks write numbers, phones and names of objects. Pure; nothing is looked up here.

What separates two groups of digits means something: ``11/5`` is another parcel than ``1/15``, a stroke in a permit
stands between its year and its serial, and stars stand for digits that a provider hides. Phones, hidden phones and
dates are no numbers of bills; what a cheque, a slip or a permit puts together is one only by chance, so it is weak.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from reconciliation.object_words import ASIDE, COUNTED, JOINING, LITTLE_WORDS, NUMBER_WORDS, PARTS, REMAINDERS
from revenue_engine.identifiers import plain

LOOKALIKE_PAIRS = tuple(zip("OILSBZG", "0115826", strict=True))
LOOKALIKES = str.maketrans(dict(LOOKALIKE_PAIRS))
"""Letters that payers write for digits: O for 0, I and L for 1, S for 5, B for 8, Z for 2, G for 6."""

WALL = "\x1f"
"""Stands for what was cut out of a text: groups of digits on both sides of it are not one number."""

_TOKEN = re.compile(f"[A-Z0-9]+|{WALL}")
_WORD = re.compile(r"[A-Z0-9]+")

_LIKE = "[0-9OILSBZG]"
_GAP = r"[\s\-./()\[\]:_~=#]"
_NINE = rf"[17IL](?:[\s\-./()\[\]:_~,]{{0,2}}{_LIKE}){{8}}(?![0-9])"
_PHONE_WORDS = (
    "TELEPHONE|TEL|CELLPHONE|CELL|PHONE|PH|HP|SIMU|MOBILE|MOB|CONTACTS?|CALL|MSISDN|WHATSAPP|SMS"
    "|LINE|LAINI|AIRTEL|SAFARICOM|TELKOM|EQUITEL|FAIBA|SIM ?CARD|SIM|KADI|HOLDER|OWNER|MWENYEWE|M-?PESA|SENDER"
    "|SAFCOM|SAF|TIGO|FROM|SENT BY|KUTOKA|PERSON|MOBILE MONEY|LIPA NA|MTEJA|YANGU|WANGU|MY NUMBER"
)
_PHONE = re.compile(
    r"(?:"
    rf"(?:(?<![0-9])[(\[]?\+|(?<![0-9A-Z])[(\[]?(?:00)?)\s?254{_GAP}*(?:\(?0\)?{_GAP}*)?"  # +254, (254), 00254, 254 (0)
    rf"|(?<![0-9A-Z])[(\[]?[0O]{_GAP}*"  # 0, (0), O
    rf"|(?<![0-9A-Z])(?:\+|K\.?EN?(?:YA)?(?![A-Z])\.?){_GAP}*"  # + or KE without its 254
    rf"|(?<![A-Z])(?:{_PHONE_WORDS})(?:{_GAP}*(?:NO|NUMBER|NAMBA|IS|NI|YA|YANGU|YAKE))*{_GAP}*"
    rf")({_NINE})"
)
_PHONE_BEHIND = re.compile(
    rf"(?<![0-9A-Z])({_NINE})[\s\-./()\[\]:,]{{1,3}}(?:TEL|SIMU?|PHONE|CELL|MOBILE|MPESA|WHATSAPP)(?![A-Z])"
)
"""Nine digits and what they are behind them: ``712345609 simu``."""
_LEAST_PHONE_DIGITS = 7
_HIDDEN = re.compile(
    r"\+?[0-9]{1,9}[ \-]?(?:[*X]{2,}[ \-]?)+[0-9]{2,}|(?<![0-9A-Z*])(?:\*{2,}|X{3,})[ \-]?[0-9]{2,}"
    r"|(?<![0-9A-Z])\+?(?:\(?254\)?|0)?[ \-]?[17][0-9]{0,5}[ \-]?"  # the beginning of a phone…
    r"[(\[]?(?:[*X#?_~^]{2,}|[*#^]|[.\-]{3,}|\s{3,})[)\]]?[\s\-]*[0-9]{2,4}(?![0-9])"  # …what hides it, and its end
)
_STARS = str.maketrans(dict.fromkeys("•●∗＊×", "*") | {"…": "...", "—": "---"})
_DATE = re.compile(
    r"(?<![0-9])(?:(?:0?[1-9]|[12][0-9]|3[01])([./\-])(?:0?[1-9]|1[0-2])\1(?:20)?[0-9]{2}"
    r"|20[0-9]{2}([./\-])(?:0?[1-9]|1[0-2])\2(?:0?[1-9]|[12][0-9]|3[01])"
    r"|(?<![A-Z])(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEPT?|OCT|NOV|DEC)[A-Z]*[\-./'](?:20)?[123][0-9]"
    # With blanks, with two kinds of separators, or glued: only of these years.
    r"|(?:0?[1-9]|[12][0-9]|3[01])[ ./\-]{1,2}(?:0?[1-9]|1[0-2])[ ./\-]{1,2}20[0-4][0-9]"
    r"|20[0-4][0-9][ ./\-]{1,2}(?:0?[1-9]|1[0-2])[ ./\-]{1,2}(?:0?[1-9]|[12][0-9]|3[01])"
    r"|(?:0[1-9]|[12][0-9]|3[01]) ?(?:0[1-9]|1[0-2]) ?20[0-4][0-9]"
    r"|20[0-4][0-9] ?(?:0[1-9]|1[0-2]) ?(?:0[1-9]|[12][0-9]|3[01]))(?![0-9])"
)
_TIME = re.compile(r"(?<![0-9])(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?(?![0-9])")

_CHEQUE = re.compile(
    r"(?<![A-Z])(?:CHQS?|CHEQUES?|CHEQ|CHECK|CQ|SLIP|DRAFT|HUNDI)"
    r"(?:[\s.:#\-]*(?:NO|NOS|NUM|NUMBER|DEP|DEPOSIT))*[\s.:#\-]*[0-9](?:[\s./\-]*[0-9])*"
)
_OF_A_BANK = re.compile(
    r"(?<![A-Z])(?:BATCH|TELLER|MICR|SORT|CTS|CLG|RCP?TS?|RECEIPT|TRN|VOUCHER|PV|BC|BR|BRN|BRANCH|SWIFT|SEQ)"
    r"(?:[\s.:#\-]*(?:NO|NUM|NUMBER|CODE))*[\s.:#\-]*[0-9]{1,8}[\s./\-]+[0-9]+(?:[\s./\-]+[0-9]+)*"
    r"|(?<![A-Z])(?:TT|RTGS|EFT|MO|ORDER|MR|TRACE|STAN|AUTH|POS|TERMINAL|TID)(?:[\s.:#\-]*(?:NO|NUM|NUMBER|CODE))*[\s.:#\-]*"
    r"(?![0-9]{3}[ \-][0-9]{3}[ \-][0-9]{3}(?![0-9]))[0-9]{1,8}[\s./\-]+[0-9]+(?:[\s./\-]+[0-9]+)*"
)
"""A bank's own word before groups; a number in one piece behind it may be what was typed."""
_BETWEEN = r"[\s./\-,()#:]"
_TWO_YEARS = "|".join(f"{year}{_BETWEEN}*{year + 1}" for year in range(15, 45))
"""A financial year as 24/25."""
_YEAR_AND_SERIAL = re.compile(
    rf"(?<![A-Z])F[/.]?Y{_BETWEEN}*[0-9](?:{_BETWEEN}*[0-9])*|(?<![0-9])(?:{_TWO_YEARS}){_BETWEEN}+[0-9]{{5}}(?![0-9])|"
    rf"(?<![0-9])(?:(?:19|20)[0-9]{{2}}{_BETWEEN}+[0-9](?:{_BETWEEN}*[0-9]){{4}}"
    rf"|[0-9](?:{_BETWEEN}*[0-9]){{4}}{_BETWEEN}+20[12][0-9])(?![0-9])"
)
_PERMIT = re.compile(r"([A-Z]{2,})-?20[0-4][0-9]{6}(?![0-9])")
_PERMIT_WORD = re.compile(
    r"(?<![A-Z])(?:U?SBP|UBP|BSP|PERMIT|LICEN[CS]E|LIC|LESENI|CERT(?:IFICATE)?|CHETI|APP(?:LICATION)?|SERIAL|RENEWAL)(?:[\s.:#\-/]*(?:NO|NUMBER))?[\s.:#\-/]*"
    rf"(?:20[0-4][0-9]{{6}}|[0-9]{{5}}20[12][0-9]|(?:{_TWO_YEARS})[0-9]{{5}})(?![0-9])"
)
_BEFORE_NUMBERS = frozenset(
    word
    for words in (
        "ACC ACCOUNT ACCT AC BILL BIL INV INVOICE NO NUMBER NAMBA",
        "REF REFERENCE PAY PAID PAYMENT MALIPO YA",
    )
    for word in words.split()
)
"""Words that stand before a bill's number; other letters before a year and a serial make a permit of them."""
_STROKE = re.compile(r"(?<=[0-9])\s*[/\\:*_=|~#?]+\s*(?=[0-9])")
_MISLEADING_WORDS = (
    r"CHQ|CHEQ|CHECK|CQ|SLIP|DRAFT|HUNDI|BATCH|MICR|SORT|CTS|CLG|\bRCP?T|RECEIPT|TRN|VOUCHER|\bPV|\bBC|\bBR|SWIFT|SEQ"
    r"|TEL|PHONE|SIMU|CELL|MOB|CONTACT|\bCALL|MSISDN|WHATSAPP|\bSMS|\bPH|\bHP"
    r"|\bLINE|LAINI|AIRTEL|SAFARICOM|TELKOM|EQUITEL|\bK\.?EN?(?:YA)?\W*[17]|\+"
    r"|FAIBA|\bSIM|KADI|HOLDER|OWNER|MWENYEWE|PESA|SENDER|\bSAF|\bTIGO|\bFROM|SENT BY|KUTOKA|PERSON|MONEY|LIPA NA|MTEJA"
    r"|YANGU|WANGU|MY NUMBER|\bTT|RTGS|\bEFT|\bMO\b|\bORDER|\bMR\b|TRACE|\bSTAN\b|\bAUTH|\bPOS\b|TERMINAL|\bTID"
    r"|\bCERT|CHETI|\bAPP|SERIAL|RENEWAL"
)
_MAY_MISLEAD = re.compile(
    r"[0-9]\s*[/\\:*_=|~.#?]\s*[0-9]|[0-9]-[0-9]{1,2}-[0-9]|\*\*|[#?.\-]{2}|254"
    r"|(?<![0-9A-Z])[(\[]?[0O][)\]:_~=#\s\-./(]*[17IL]"
    r"|XX|20[0-9]{2}|F[/.]?Y|BP|PERMIT|LIC|LESENI"
    r"|(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[A-Z]*[\-./']|\s{3}|" + _MISLEADING_WORDS
)
_A_DIGIT = re.compile("[0-9]")
MISLEADING = (
    r"(?i)[a-z][^a-z0-9]{0,3}20[0-4][0-9]{6}|[a-z][^a-z0-9]{0,3}[0-9]{5}20[12][0-9]|\bf[/.]?y|\b[su]bp|(?:^|[^a-z0-9])o[^a-z0-9]*[17]|"
    + _MISLEADING_WORDS
)
"""For columns: texts with one number among words, which may be a cheque's, a phone or a permit."""


def folded(key: str) -> str:
    """A key with every look-alike written as its digit, so that O and 0 are the same on both sides."""
    return key.translate(LOOKALIKES)


def tokens_of(typed: str) -> list[str]:
    """The words, numbers and codes of a text, upper case, without what separates them."""
    return _WORD.findall(plain(typed).upper())


class Said(NamedTuple):
    """A text as words, without what is no bill's number."""

    sure: list[str]
    """Its words with walls for all that puts groups together by chance: what is read here was typed as one number."""
    loose: list[str]
    """With walls for phones, hidden phones, dates and times only."""
    phones: tuple[str, ...]
    """Nine digits each, of phones that are written as phones."""


def said(text: str) -> Said:
    """Cut out of a text what is no number of a bill, and keep the phones."""
    upper = plain(text if text.isascii() else text.translate(_STARS)).upper()
    if not _A_DIGIT.search(upper) or not _MAY_MISLEAD.search(upper):
        words = _TOKEN.findall(upper)
        return Said(words, words, ())
    phones: list[str] = []
    upper = _HIDDEN.sub(WALL, upper)
    upper = _PHONE.sub(lambda found: _phone(found, phones), upper)
    upper = _PHONE_BEHIND.sub(lambda found: _phone(found, phones), upper)
    upper = _TIME.sub(WALL, _DATE.sub(WALL, upper))
    loose = _TOKEN.findall(upper)
    upper = _OF_A_BANK.sub(WALL, _CHEQUE.sub(WALL, _YEAR_AND_SERIAL.sub(WALL, upper)))
    upper = _STROKE.sub(WALL, _PERMIT.sub(_permit, _PERMIT_WORD.sub(WALL, upper)))
    return Said(_TOKEN.findall(upper), loose, tuple(dict.fromkeys(phones)))


def _phone(found: re.Match[str], phones: list[str]) -> str:
    digits = "".join(_WORD.findall(found[1]))
    if sum(map(str.isdigit, digits)) < _LEAST_PHONE_DIGITS:
        return found[0]
    phones.append(folded(digits))
    return f" {WALL} "


def _permit(found: re.Match[str]) -> str:
    return found[0] if found[1] in _BEFORE_NUMBERS else WALL


_LINE_BREAK = re.compile(r"[\r\n]+")
_PRINTED = re.compile(r"(?<![0-9])([0-9]{3})[ \-\u00a0]([0-9]{3})[ \-\u00a0]([0-9]{3})(?![0-9])")


def in_one_piece(number: str, text: str) -> bool:
    """Whether a number stands in a text by itself, within one word or in the groups in which bills print it.

    Else it is put together out of groups among words.
    """
    text = _LINE_BREAK.sub("", text)  # a bank breaks lines where they are full
    tokens = [folded(token) for token in tokens_of(text)]
    if "".join(tokens) == number or any(number in token for token in tokens):
        return True
    return any("".join(found.groups()) == number for found in _PRINTED.finditer(plain(text)))


def in_groups(number: str, text: str) -> bool:
    """Whether a number stands in a text in one piece or in groups with nothing but a blank between them."""
    spaced = " ?".join(number)
    return in_one_piece(number, text) or re.search(rf"(?<![0-9]){spaced}(?![0-9])", plain(text)) is not None


# --- names of objects ------------------------------------------------------------------------------------------------


class Fit(enum.IntEnum):
    """How a text names an object. Below nothing it names another one that is written with the same characters."""

    MOVED = -2
    """The separators stand elsewhere: ``11/5`` for ``1/15``."""
    LONGER = -1
    """The name goes on: ``45 A`` for ``45``, ``1500/2`` for ``1500``."""
    NONE = 0
    WEAK = 1
    """A short number stands beside it or blanks stand within its number: another object may be meant."""
    SQUEEZED = 2
    """Without the separators that the reference has."""
    VERBATIM = 3


class Named(NamedTuple):
    """How well, and which words of the text."""

    fit: Fit
    start: int = 0
    end: int = 0


class Written(NamedTuple):
    """A text as words and what stands before each."""

    words: tuple[str, ...]
    gaps: tuple[str, ...]


def written(text: str) -> Written:
    """The words of a text with the separators before each of them."""
    upper = plain(text).upper()
    words, gaps, at = [], [], 0
    for found in _WORD.finditer(upper):
        words.append(found[0])
        gaps.append(upper[at : found.start()])
        at = found.end()
    return Written(tuple(words), tuple(gaps))


_PLATE = re.compile(r"[A-Z]{1,3}[0-9]{3}[A-Z]{1,3}")
_SHORT, _LONGEST_NAME, _LEAST_TOWN = 4, 9, 4
_MOST_BETWEEN = 3
_LAND_REGISTER = frozenset(("LR", "LRNO"))
NUMBERED = frozenset(("NO", "NOS", "NUMBER", "NUM", "NAMBA", "NAMBARI", "NR"))
"""Words between a thing and its number that belong to neither: ``stall no 45A``."""


def fit(text: Written, reference: Written, prefixes: Collection[str] = (), *, typed: bool = True) -> Named:
    """How a text names an object: the best of the places in which its characters stand.

    ``typed`` says that a payer wrote it; what a bank prints before a name belongs to the bank.
    """
    best = _fit(text, reference, prefixes, typed=typed)
    if best.fit is not Fit.NONE:
        return best
    kept = [place for place, word in enumerate(text.words) if word not in NUMBERED]
    if len(kept) < len(text.words):
        plainer = Written(tuple(text.words[place] for place in kept), tuple(text.gaps[place] for place in kept))
        best = _fit(plainer, reference, prefixes, typed=typed)
        if best.fit is not Fit.NONE:
            return Named(best.fit, kept[best.start], kept[best.end - 1] + 1)
    return _fit_with_words_between(text, reference, prefixes, typed=typed)


def _fit_with_words_between(text: Written, reference: Written, prefixes: Collection[str], *, typed: bool) -> Named:
    """A name whose first word, a market or a town, stands apart from the rest: ``Matayos Nambale stall 45``."""
    first, rest = reference.words[0] if reference.words else "", reference.words[1:]
    if not first.isalpha() or not rest or first not in text.words or not any(one[0].isdigit() for one in rest):
        return Named(Fit.NONE)
    place = text.words.index(first)
    found = _fit(text, Written(rest, reference.gaps[1:]), prefixes, typed=typed)
    between = text.words[place + 1 : found.start]
    if found.fit > 0 and between and len(between) <= _MOST_BETWEEN and all(map(str.isalpha, between)):
        return Named(Fit.WEAK, place, found.end)
    return Named(Fit.NONE)


def _fit(text: Written, reference: Written, prefixes: Collection[str], *, typed: bool) -> Named:
    own = "".join(reference.words)
    wanted, groups = folded(own), _boundaries(reference.words, own)
    best = Named(Fit.NONE)
    if _PLATE.fullmatch(own) and (place := _with_a_town_behind(text, own)) >= 0:
        return Named(Fit.VERBATIM, place, place + 1)
    for start in range(len(text.words)):
        joined = ""
        for end in range(start + 1, min(start + _LONGEST_NAME, len(text.words)) + 1):
            joined += text.words[end - 1]
            if len(joined) < len(own):
                continue
            extra = len(joined) - len(own)
            if folded(joined[extra:]) == wanted and (not extra or _may_stand_before(joined[:extra], own, prefixes)):
                spelt = _spelt(text, start, end, extra, own, groups)
                found = Named(_whole(text, start, end, own, spelt, typed=typed), start, end)
                if found.fit > best.fit or best.fit is Fit.NONE:
                    best = found
            if extra > _LONGEST_NAME:
                break
    return best


def _with_a_town_behind(text: Written, own: str) -> int:
    """Where a plate stands with a town glued behind: ``KDA123ABUSIA``; -1 where it does not."""
    size = len(own)
    for place, word in enumerate(text.words):
        if word.startswith(own) and word[size:].isalpha() and len(word) - size >= _LEAST_TOWN:
            return place
    return -1


def _may_stand_before(glued: str, own: str, prefixes: Collection[str]) -> bool:
    return (
        glued in prefixes
        or (glued in _LAND_REGISTER and own[0].isdigit())
        or (glued.isalpha() and len(glued) > 1 and _PLATE.fullmatch(own) is not None)
    )


def _boundaries(words: Sequence[str], own: str) -> frozenset[int]:
    """Where a separator stands between two digits, as places in the joined words."""
    found, at = set(), 0
    for word in words[:-1]:
        at += len(word)
        if 0 < at < len(own) and own[at - 1].isdigit() and own[at].isdigit():
            found.add(at)
    return frozenset(found)


def _spelt(text: Written, start: int, end: int, extra: int, own: str, groups: frozenset[int]) -> Fit:
    if end - start == 1 and not groups:
        return Fit.VERBATIM
    typed, strokes, at = set(), False, -extra
    for place in range(start, end - 1):
        at += len(text.words[place])
        if 0 < at < len(own) and own[at - 1].isdigit() and own[at].isdigit():
            typed.add(at)
            strokes |= at not in groups and not text.gaps[place + 1].isspace()
    if typed == groups:
        return Fit.VERBATIM
    if typed < groups:
        return Fit.SQUEEZED
    if typed > groups and not strokes:
        return Fit.SQUEEZED if _PLATE.fullmatch(own) else Fit.WEAK
    return Fit.MOVED


def _whole(text: Written, start: int, end: int, own: str, spelt: Fit, *, typed: bool) -> Fit:
    """Whether the name ends where the words end; a plate ends by itself, unless its figures are torn apart."""
    if spelt is Fit.MOVED:
        return spelt
    after, gap = (text.words[end], text.gaps[end]) if end < len(text.words) else ("", "")
    if _PLATE.fullmatch(own):
        torn = spelt is Fit.SQUEEZED and after and (after.isdigit() or len(after) == 1) and len(after) < _SHORT
        others = [plate for plate in plates_of(text) if not folded(own).endswith(folded(plate))]
        return Fit.WEAK if torn or others else spelt
    if after and (_goes_on(after, gap, own) or _goes_on_in_words(text, end)):
        return Fit.LONGER
    weak = (bool(after) and _may_go_on(after, gap, own)) or (start > 0 and text.words[start - 1] in ASIDE)
    if start:
        before, gap = text.words[start - 1], text.gaps[start]
        if _is_stroke(gap) and before.isdigit() and len(before) <= _SHORT:
            if not own[0].isalpha():
                return Fit.LONGER
            weak = True  # the number of something else, named beside this one
        weak |= typed and "/" in gap and before.isalpha() and len(before) > 1
    weak = weak or _names_another(text, start, end) or _number_near(text, start, end) or after in ASIDE
    return Fit.WEAK if weak or plates_of(text) else spelt


def _goes_on(after: str, gap: str, own: str) -> bool:
    if len(after) == 1 and after.isalpha():
        return own[-1].isdigit()
    if after in REMAINDERS:
        return True
    if not _is_stroke(gap):
        return False
    return (after.isdigit() and len(after) <= _SHORT) or (len(after) < _SHORT and not after.isalpha())


def _goes_on_in_words(text: Written, end: int) -> bool:
    """Whether words behind a name say a part of the thing, or one thing more: ``part 2``, ``row B``, ``and 46``."""
    rest = [word for word in text.words[end : end + 4] if word not in NUMBER_WORDS]
    if not rest or not (rest[0] in PARTS or rest[0] in JOINING):
        return False
    number = next((word for word in rest[1:] if word not in JOINING), "")
    if not number or _YEAR.fullmatch(number):
        return False
    if rest[0] in JOINING:
        return number[0].isdigit() and len(number) <= _SHORT
    return len(number) == 1 or (any(map(str.isdigit, number)) and len(number) <= _SHORT + 1)


def _may_go_on(after: str, gap: str, own: str) -> bool:
    """Whether a short word behind a name may belong to it: another figure, two letters, ``B2``."""
    if after.isdigit():
        return len(after) < _SHORT - 1 and not _is_stroke(gap)
    if after.isalpha():
        if len(after) == 1:
            return True  # behind a letter: behind a figure the name goes on
        return (len(after) == 2 and after not in LITTLE_WORDS) or (_is_stroke(gap) and len(after) < _SHORT)
    return len(after) < _SHORT and own[-1].isdigit()


def _names_another(text: Written, start: int, end: int) -> bool:
    """Whether a text names another thing of the same sort beside this one: ``stall 45 … stall 61``."""
    sort = text.words[start]
    if not sort.isalpha() or end - start < 2:
        return False
    rest = (*text.words[:start], WALL, *text.words[end:])
    return any(
        word == sort and then[:1].isdigit() and len(then) <= _SHORT + 1 and not _YEAR.fullmatch(then)
        for word, then in itertools.pairwise(rest)
    )


def _number_near(text: Written, start: int, end: int) -> bool:
    """Whether a short number or a letter stands within a few words of a name: it may be a part of it, or another.

    Whatever words join them, for no list of such words is whole. Years, and what a month stands beside, say when.
    """
    behind, before = text.words[end : end + _NEAR_WORDS], text.words[max(0, start - _NEAR_WORDS) : start]
    for words in (behind, before):
        for place, word in enumerate(words):
            if _YEAR.fullmatch(word) or any(_MONTH.fullmatch(one) for one in words[max(0, place - 1) : place + 2]):
                continue
            if word in COUNTED or (len(word) <= _SHORT and word.isdigit()):
                return True
            if len(word) == 1 or (len(word) < _SHORT and not word.isalpha()):
                return True
    return False


_NEAR_WORDS = 3
_MONTH = re.compile(
    "JAN(?:UARY)?|FEB(?:RUARY)?|MAR(?:CH)?|APR(?:IL)?|MAY|JUNE?|JULY?|AUG(?:UST)?|SEPT?(?:EMBER)?|OCT(?:OBER)?"
    "|NOV(?:EMBER)?|DEC(?:EMBER)?|MWEZI|MONTHS?"
)
_YEAR = re.compile("(?:19|20)[0-9]{2}")


def _is_stroke(gap: str) -> bool:
    """Whether a separator joins what stands on both sides of it: a stroke, or a dash or dot without blanks."""
    return "/" in gap or "\\" in gap or gap in ("-", ".", "_", "–")


def is_inside(one: Named, other: Named) -> bool:
    """Whether a name is a part of a longer one that stands there to the letter."""
    if other.fit is not Fit.VERBATIM or (one.start, one.end) == (other.start, other.end):
        return False
    return other.start <= one.start and one.end <= other.end


def same_name(one: str, other: str) -> bool:
    """Whether two references are the same name: the same characters, in the same groups of digits."""
    left, right = written(one), written(other)
    own = "".join(left.words)
    return own == "".join(right.words) and _boundaries(left.words, own) == _boundaries(right.words, own)


def groups_of(text: Written) -> list[tuple[str, ...]]:
    """The numbers of a text, those together that strokes join; without the ones that a letter behind goes on."""
    text = _unglued(text)
    found: list[tuple[str, ...]] = []
    joined = False
    for place, word in enumerate(text.words):
        joins = joined and _is_stroke(text.gaps[place])
        joined = word.isdigit() and len(word) <= _LONGEST_NAME
        if joined and joins:
            found[-1] = (*found[-1], word)
        elif joined:
            found.append((word,))
        elif found and place and text.words[place - 1].isdigit() and _goes_on(word, text.gaps[place], "0"):
            found.pop()
    return found


def _unglued(text: Written) -> Written:
    """A text with its words parted from the numbers glued behind them: ``MUNDIKA1234``, ``LR209/1234``."""
    if not any(map(_WORD_AND_NUMBER.fullmatch, text.words)):
        return text
    words: list[str] = []
    gaps: list[str] = []
    for word, gap in zip(text.words, text.gaps, strict=True):
        parts = found.groups() if (found := _WORD_AND_NUMBER.fullmatch(word)) else (word,)
        words += parts
        gaps += [gap, *("" for _ in parts[1:])]
    return Written(tuple(words), tuple(gaps))


_WORD_AND_NUMBER = re.compile(r"([A-Z]{4,}|LR|BLK|HSE)([0-9]{1,6})")


def unglued_tokens(tokens: Sequence[str]) -> list[str]:
    """The words of a text, a number glued to a word apart from it; a plate stays whole."""
    parts: list[str] = []
    for token in tokens:
        found = _WORD_AND_NUMBER.fullmatch(token)
        parts += found.groups() if found else (token,)
    return parts


def as_year_and_serial(group: tuple[str, ...]) -> tuple[str, ...]:
    """A serial with its year behind it as a permit writes them, the year first: ``456/2026``; else the group."""
    if len(group) == 2 and _YEAR.fullmatch(group[1]) and not _YEAR.fullmatch(group[0]):
        return (group[1], group[0])
    return group


_LETTERED = re.compile(r"0*([1-9][0-9]{0,4}[A-Z])")


def lettered(words: Sequence[str]) -> list[str]:
    """The numbers of a text that one letter goes on, glued or beside: ``45A``, ``45 A``."""
    found = [one[1] for word in words if word[0] <= "9" and (one := _LETTERED.fullmatch(word))]
    for number, letter in itertools.pairwise(words):
        if len(letter) == 1 and letter.isalpha() and number.isdigit() and (one := _LETTERED.fullmatch(number + letter)):
            found.append(one[1])
    return list(dict.fromkeys(found))


def fits_loosely(text: Written, reference: Written) -> bool:
    """Whether numbers of a text are the last numbers of a reference, or its plate stands in the text."""
    if reference.words and (last := _LETTERED.fullmatch(reference.words[-1])):
        return [last[1]] == lettered(text.words)
    own = [int(word) for word in reference.words if word.isdigit()]
    told = groups_of(text)
    groups = ([int(word) for word in group] for one in told for group in {one, as_year_and_serial(one)})
    return any(group == own[-len(group) :] for group in groups) or bool(
        set(plates_of(text)).intersection(plates_of(reference))
    )


def plates_of(text: Written) -> list[str]:
    """Plates in a text, glued to a town or not."""
    found = [_AT_END.search("".join(text.words[at : at + size])) for size in (1, 2, 3) for at in range(len(text.words))]
    return list(dict.fromkeys(one[0] for one in found if one))


_AT_END = re.compile(r"(?:K[A-Z]{2}|U[A-Z]{2}|T|K[A-Z]{3})[0-9]{3}[A-Z]{1,3}$")


_CHARACTERS = "".join(sorted(set(folded("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))))


def one_away(key: str) -> set[str]:
    """Every folded key that is one wrong, swapped, missing or extra character away from a folded key."""
    found = {key[:at] + key[at + 1 :] for at in range(len(key))}
    found |= {key[:at] + key[at + 1] + key[at] + key[at + 2 :] for at in range(len(key) - 1)}
    for character in _CHARACTERS:
        found |= {key[:at] + character + key[at + 1 :] for at in range(len(key))}
        found |= {key[:at] + character + key[at:] for at in range(len(key) + 1)}
    return found - {key}


_PHONE_ALONE = re.compile(r"(?<!\d)(?:\+?254|0)?[17]\d{8}(?!\d)")


def without_phones(words: str, numbers: Collection[str]) -> str:
    """A why as it may be kept: a run of digits that may be somebody's phone, and is no bill's number, is covered."""
    return _PHONE_ALONE.sub(
        lambda found: found[0] if found[0] in numbers else f"(number ending {found[0][-3:]})", words
    )
