"""A channel account's settings as its adapter takes them, with the secrets they name by file put in.

Settings stand in the database and secrets do not: a value ``"file:NAME"`` stands for the content of that file in the
folder ``REVENUE_SECRETS_DIR``. It is read before ``verify`` is called, so an adapter stays pure, and read again with
the endpoints, so a new key needs no restart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from revenue_engine.errors import ConfigurationError

MARK: Final = "file:"
LARGEST: Final = 65_536
"""Bytes of a secret file. A key of 4096 bits is below 4,000."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)

Model = TypeVar("Model", bound=BaseModel)


def read_settings(model: type[Model], given: Mapping[str, Any], *, secrets_dir: Path | None = None) -> Model:
    """Settings by their model. Raises pydantic's ValidationError for values that do not fit the model, and
    ConfigurationError, naming the setting and the file but never its content, for a secret that cannot be read."""
    return model.model_validate({name: _filled(value, name, secrets_dir) for name, value in given.items()})


def _filled(value: Any, where: str, folder: Path | None) -> Any:
    if isinstance(value, str) and value.startswith(MARK):
        return _secret(value.removeprefix(MARK), where, folder)
    if isinstance(value, list | tuple):
        return [_filled(one, f"{where}.{number}", folder) for number, one in enumerate(value)]
    if isinstance(value, dict):
        return {name: _filled(one, f"{where}.{name}", folder) for name, one in value.items()}
    return value


def _secret(name: str, where: str, folder: Path | None) -> str:
    """The text of a secret file, without the line end an editor left after it."""
    try:
        return read_secret(name, where=where, folder=folder).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where}: the secret file {name} is not text", setting=where) from None


def read_secret(name: str, *, where: str, folder: Path | None) -> bytes:
    """The bytes of a secret file, read anew each time so that a changed secret needs no restart.

    ``name`` is a plain file name in ``folder`` (REVENUE_SECRETS_DIR); ``where`` is the setting that names the file.
    Raises ConfigurationError, which names the setting and the file and never repeats what the file holds.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(f"{where}: {name[:40]!r} is no plain file name", setting=where)
    if folder is None:
        raise ConfigurationError(
            f"{where} names the secret file {name}, and REVENUE_SECRETS_DIR is not set"
            " (fix: set it to the folder of channel secrets)",
            setting=where,
        )
    try:
        with (folder / name).open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{where}: the secret file {name} in REVENUE_SECRETS_DIR cannot be read: {error.strerror}", setting=where
        ) from None
    if not content.strip() or len(content) > LARGEST:
        raise ConfigurationError(f"{where}: the secret file {name} is empty or over {LARGEST} bytes", setting=where)
    return content
