"""The desk in English and Kiswahili: no word without its other, and the browser's choice is kept."""

from __future__ import annotations

import re
from importlib.resources import files
from io import BytesIO

import pytest
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from revenue_engine.desk import language
from tests.conftest import Database
from tests.desk.conftest import County

TEMPLATES = sorted(files("revenue_engine.desk").joinpath("templates").iterdir(), key=lambda one: one.name)
_PIECES = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|<script.*?</script>|<!doctype html>", re.DOTALL)
_TAGS = re.compile(r"<[^>]*>", re.DOTALL)


def catalogue() -> dict[str, str]:
    text = files("revenue_engine.desk").joinpath("languages", "sw.po").read_bytes()
    return {str(one.id): str(one.string) for one in read_po(BytesIO(text), locale="sw") if one.id}


def words() -> set[str]:
    found = set(language.WORDS)
    for template in TEMPLATES:
        extracted = babel_extract(BytesIO(template.read_bytes()), ["_"], [], {"trim_blocks": "true"})
        found |= {message for _, _, message, _ in extracted if isinstance(message, str)}
    return found


def test_every_word_of_the_pages_has_its_kiswahili_and_none_stands_alone() -> None:
    known = catalogue()
    assert set(known) == words()
    assert [one for one, said in known.items() if not said.strip()] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_no_template_holds_a_word_that_no_catalogue_can_reach(template: object) -> None:
    left = _TAGS.sub("\n", _PIECES.sub("", template.read_text("utf-8")))  # type: ignore[attr-defined]
    bare = [line.strip() for line in left.splitlines() if re.search(r"[A-Za-z]{2}", line)]
    assert [line for line in bare if line.strip(" ·:") != "KSh"] == []


def test_every_kind_of_request_has_words(database: Database) -> None:
    with database.connect() as connection:
        kinds = {row[0] for row in connection.execute("SELECT code FROM access.approval_kind")}
    assert kinds == set(language.KINDS)


def test_a_browser_is_answered_in_the_language_that_it_asks_for_or_chose(county: County) -> None:
    clerk = county.browser("mary", "clerk")
    assert '<html lang="en">' in clerk.see("/bills").text
    asked = clerk.client.get("/bills", headers={"Accept-Language": "sw-KE,sw;q=0.9,en;q=0.8"})
    assert '<html lang="sw">' in asked.text
    assert "Ankara mpya" in asked.text
    # What was chosen is kept, and goes before what the browser asks for
    chosen = clerk.post("/language", to="sw", back="/payments?state=matched")
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/payments?state=matched")
    assert "Malipo" in clerk.see("/payments").text
    assert clerk.post("/language", to="en", back="https://evil.example/").headers["location"] == "/"
    english = clerk.client.get("/bills", headers={"Accept-Language": "sw"})
    assert '<html lang="en">' in english.text
    assert clerk.post("/language", to="xx", back="/").status_code == 422


def test_a_refusal_that_the_desk_makes_is_told_in_kiswahili(county: County) -> None:
    clerk = county.browser("mary", "clerk")
    lost = clerk.client.get("/no-such-page", headers={"Accept-Language": "sw"})
    assert lost.status_code == 404
    assert "hakuna ukurasa kwenye anwani hii" in lost.text


def test_days_are_said_in_each_language() -> None:
    assert language.language("en").when("2026-11-30T17:18:04+03:00") == "30 Nov 2026, 17:18"
    assert language.language("sw").day_of("2026-08-01") == "1 Ago 2026"
