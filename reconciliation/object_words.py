"""The words by which payers and counties call things, parts of things and what joins them, English and Swahili."""

from __future__ import annotations

COUNTED = frozenset(
    word
    for words in (
        "ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE TEN SECOND THIRD II III IV",
        "MOJA MBILI TATU NNE TANO SITA SABA NANE TISA KUMI PILI",
    )
    for word in words.split()
)
ASIDE = frozenset(
    word
    for words in (
        "ANNEX ANNEXE BIS EXT EXTENSION UPPER LOWER BACK FRONT REAR NEW OLD HALF QUARTER NUSU NYUMA MBELE JUU CHINI",
        "NDOGO KUBWA MPYA MABAKI BAKI BALANCE BAL SUBPLOT SUB",
    )
    for word in words.split()
)
"""Words that make another thing of a name without a number."""
REMAINDERS = frozenset(("REM", "REMAINDER", "REMAINING", "RESIDUE"))
"""What is left of a parcel of which a part was sold is a parcel of its own."""
PARTS = frozenset(
    word
    for words in (
        "PART PT PARTS PHASE PH ROW SECTION SECT SEC BLOCK BLK UNIT ROOM RM FLOOR FLR LEVEL EXT EXTENSION ANNEX ANNEXE",
        "SUBPLOT SUB SUBDIVISION PORTION WING SIDE DOOR SHOP HSE HOUSE STALL LOT BOOTH TABLE SLAB KIOSK LINE GATE BAY",
        "SEHEMU AWAMU CHUMBA MLANGO SAFU MSTARI GHOROFA NYUMBA DUKA KIBANDA UPANDE ENEO LANGO MEZA KIPANDE",
    )
    for word in words.split()
)
"""Words that say a part of a thing where a number or a letter follows them."""
JOINING = frozenset(("AND", "NA", "N", "PLUS", "TO", "HADI", "MPAKA", "THRU", "PAMOJA", "WITH", "OR", "AU"))
NUMBER_WORDS = frozenset(("NO", "NOS", "NUMBER", "NUMBERS", "NUM", "NAMBA", "NAMBARI", "NR", "YA", "OF"))
LITTLE_WORDS = frozenset(
    word
    for words in ("AT BY IN IS IT KE KW LA MY NA NI NO OF OK ON OR TO WA YA ZA", "DR MR MS FY LR QR")
    for word in words.split()
)
"""Two letters that are a word of their own."""

SYNONYMS = {
    "KIWANJA": ("PLOT",), "SHAMBA": ("PLOT",), "PLOTI": ("PLOT",), "KIBANDA": ("STALL", "KIOSK"), "STALI": ("STALL",),
    "MEZA": ("TABLE",), "DUKA": ("SHOP",), "NYUMBA": ("HOUSE", "HSE"), "HOUSE": ("HSE",), "HSE": ("HOUSE",),
    "CHUMBA": ("ROOM",), "LESENI": ("PERMIT",), "STOO": ("STORE",), "BLK": ("BLOCK",), "BLOKI": ("BLOCK",),
    "RM": ("ROOM",), "GHALA": ("STORE", "GODOWN"), "OFISI": ("OFFICE",), "FLETI": ("FLAT",), "KIOSKI": ("KIOSK",),
    "STALL": ("KIBANDA",), "KIOSK": ("KIBANDA",), "SHOP": ("DUKA",), "PLOT": ("KIWANJA",), "ROOM": ("CHUMBA",),
}  # fmt: skip
"""What payers call a thing, beside what the county's references call the same."""
