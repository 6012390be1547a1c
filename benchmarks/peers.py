"""Environments of their own for other people's programs, made on demand from pinned releases.

Nothing here enters our own lock files: a peer is measured or asked, and never imported.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

INSTALL_SECONDS = 300


def install(folder: Path, pinned: tuple[str, ...]) -> str:
    """A fresh environment with the pinned releases; answers its Python. Raises OSError or SubprocessError."""
    python = str(folder / "bin" / "python")
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is not None:
        steps = [[uv, "venv", "--quiet", "--python", sys.executable, "--clear", str(folder)]]
        steps.append([uv, "pip", "install", "--quiet", "--python", python, *pinned])
    else:
        steps = [[sys.executable, "-m", "venv", str(folder)], [python, "-m", "pip", "install", "--quiet", *pinned]]
    for step in steps:
        subprocess.run(step, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return python
