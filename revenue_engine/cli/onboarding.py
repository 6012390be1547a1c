"""What a provider's engineer is handed: addresses, credentials, formats, acknowledgements, and a call that works."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from revenue_engine.config import Settings
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.ports.callbacks import AckOutcome, CallbackAdapter, EchoingAdapter, Rehearsal, RehearsingAdapter

MASK = "********"


def read_settings_file(file: Path) -> dict[str, Any]:
    """Settings of a channel account from a TOML or JSON file. Raises InvalidValue."""
    try:
        text = file.read_text("utf-8")
        found = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (ValueError, OSError) as error:
        raise InvalidValue(f"{file.name} cannot be read: {error}", file=str(file)) from None
    if not isinstance(found, dict):
        raise InvalidValue(f"{file.name} must hold settings by name", file=str(file))
    return found


def masked(model: type[BaseModel], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings as they may be shown: a secret that was typed in place of a file name is hidden."""
    hidden = {name for name, info in model.model_fields.items() if info.annotation is SecretStr}
    return {
        name: MASK if name in hidden and not str(value).startswith("file:") else value
        for name, value in settings.items()
    }


# --- test keys -------------------------------------------------------------------------------------------------------


def _key_file(settings: Settings, adapter: str, identifier: str) -> Path:
    return settings.state_dir / "rehearsals" / f"{adapter}-{identifier}.json"


def keep_test_key(settings: Settings, adapter: str, identifier: str, rehearsal: Rehearsal) -> None:
    """Keep the throw-away secrets of a test account in the private state folder, for ``callback send``."""
    file = _key_file(settings, adapter, identifier)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.touch(mode=0o600)
    file.write_text(json.dumps(dict(rehearsal.secrets)), "utf-8")


def test_rehearsal(settings: Settings, adapter: CallbackAdapter, identifier: str) -> Rehearsal:
    """The provider played with the kept key. Raises NotFound when no key of this test account is at hand."""
    file = _key_file(settings, adapter.name, identifier)
    if not isinstance(adapter, RehearsingAdapter) or not file.is_file():
        raise NotFound(
            f"no test key of {adapter.name} {identifier} is at hand; 'channel add --test' without --settings makes one"
        )
    return adapter.rehearse(identifier, json.loads(file.read_text("utf-8")))


# --- the sheet -------------------------------------------------------------------------------------------------------


def address(settings: Settings, token: str) -> str:
    """The URL of a callback address: on the public host where one is set, else on this machine."""
    base = settings.public_url or f"http://{settings.intake_host}:{settings.intake_port}"
    return f"{base.rstrip('/')}/cb/v1/{token}"


def curl(settings: Settings, token: str, rehearsal: Rehearsal) -> str:
    """A signed example for the intake on this machine, ready to paste."""
    sent = rehearsal.sign(rehearsal.example)
    words = ["curl", "--fail-with-body", "-sS", f"http://{settings.intake_host}:{settings.intake_port}/cb/v1/{token}"]
    kind = "application/json" if rehearsal.body is None else rehearsal.body.content_type
    for name, value in {"content-type": kind, **sent.headers}.items():
        words += ["-H", f"{name}: {value}"]
    return shlex.join([*words, "--data-raw", sent.body.decode()])


def sheet(
    adapter: CallbackAdapter,
    settings: Settings,
    *,
    facts: Mapping[str, Any],
    given: Mapping[str, Any],
    tokens: Mapping[str, str],
    rehearsal: Rehearsal | None,
) -> dict[str, Any]:
    """The onboarding sheet as plain data. ``tokens`` by purpose are shown this once; ``given`` are the settings."""
    example = rehearsal.sign(rehearsal.example).body if rehearsal is not None else b""
    acks = {
        outcome.value: (
            adapter.ack_for(outcome, example)
            if isinstance(adapter, EchoingAdapter) and example
            else adapter.ack(outcome)
        ).decode()
        for outcome in AckOutcome
    }
    peers = given.get("peers") or ()
    spelled = "JSON in UTF-8" if rehearsal is None or rehearsal.body is None else rehearsal.body.content_type
    found = {
        **facts,
        "addresses": {purpose: address(settings, token) for purpose, token in tokens.items()},
        "proof": getattr(adapter, "proof_in_words", "see the adapter's own page"),
        "allowed_from": list(peers) or ["any address: the proof alone decides"],
        "format": f"HTTP POST, {spelled}, one notice a call; amounts exact to the cent, times of Nairobi",
        "acknowledgement": acks["kept"],
        "refusal": acks["refused"],
        "listening": (
            "within five seconds, while 'revenue-engine serve' runs; start it again after installing an adapter"
        ),
        "retries": "send again until the acknowledgement comes; the same notice twice is one payment",
    }
    if rehearsal is not None and tokens:
        shown = {name: value for name, value in rehearsal.secrets.items() if name in ("username", "password", "secret")}
        named = f"-c {facts['adapter']} --identifier {facts['identifier']}"
        signs = (
            f"a throw-away key that this machine keeps: revenue-engine callback send ADDRESS FILE {named} signs with it"
        )
        found["test_credentials"] = shown or (signs if rehearsal.secrets else "none: nothing is signed")
        found["try_it"] = curl(settings, next(iter(tokens.values())), rehearsal)
    return found


def lines(found: Mapping[str, Any]) -> list[str]:
    """The sheet for a person to read."""
    said = []
    for name, value in found.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            said.append(f"{title}:")
            said += [f"  {key}: {one}" for key, one in value.items()]
        elif isinstance(value, list):
            said.append(f"{title}: {', '.join(map(str, value))}")
        elif name == "try_it":
            said += ["", "try it, with the intake running on this machine:", "", str(value)]
        else:
            said.append(f"{title}: {value}")
    return said
