"""Environments of the oracles: one folder a package, pinned, made on demand, thrown away with the run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PINNED = {
    "mpesa-daraja-mcp": "0.1.4",  # MIT
    "daraja-sdk-py": "2.0.0",  # MIT
    "mpesakit": "2.2.0",  # Apache-2.0
    "daraja-v3": "0.2.1",  # MIT
    "openbadgeslib": "4.6.3",  # LGPL-3, asked as a program of its own
}
INSTALL_SECONDS = 300
RUN_SECONDS = 120


class Unreachable(Exception):
    """A package could not be installed."""


def install(folder: Path, package: str) -> Path:
    """The Python of a fresh environment with one package. Raises Unreachable."""
    home = folder / package
    python = home / "bin" / "python"
    wanted = f"{package}=={PINNED[package]}"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is not None:
        steps = [[uv, "venv", "--quiet", "--python", sys.executable, str(home)]]
        steps.append([uv, "pip", "install", "--quiet", "--python", str(python), wanted])
    else:
        steps = [[sys.executable, "-m", "venv", str(home)], [str(python), "-m", "pip", "install", "--quiet", wanted]]
    for step in steps:
        try:
            subprocess.run(step, check=True, timeout=INSTALL_SECONDS, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise Unreachable(f"{wanted} could not be installed ({type(error).__name__})") from None
    return python


def source(folder: Path, package: str) -> Path:
    """The unpacked source release of a package, for the fixtures that its wheel leaves out. Raises Unreachable."""
    home = folder / f"{package}-source"
    home.mkdir()
    wanted = f"{package}=={PINNED[package]}"
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    try:
        subprocess.run(
            [*fetch, "--no-binary", ":all:", "--dest", str(home), wanted],
            check=True,
            timeout=INSTALL_SECONDS,
            capture_output=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unreachable(f"the source of {wanted} could not be fetched ({type(error).__name__})") from None
    (archive,) = home.glob("*.tar.gz")
    shutil.unpack_archive(archive, home, filter="data")
    return next(path for path in home.iterdir() if path.is_dir())


def judged(python: Path, program: str, given: Any) -> Any:
    """What a judge program says about something: JSON in, JSON out."""
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name(program))],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr[-800:]}")
    return json.loads(done.stdout.splitlines()[-1])
