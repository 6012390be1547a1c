"""A line to the desk that can be cut: what a phone without a network sees of a county."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit


class Line:
    """Listens on a port of its own and carries every connection to the desk until it is cut."""

    def __init__(self, to: str) -> None:
        self._to = int(urlsplit(to).port or 80)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://localhost:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Line:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def cut(self) -> None:
        """End every connection and take no new one."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _listen(self) -> None:
        while True:
            try:
                caller, _ = self._listening.accept()
                desk = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            self._open += [caller, desk]
            for start, end in ((caller, desk), (desk, caller)):
                threading.Thread(target=_carry, args=(start, end), daemon=True).start()


def _carry(start: socket.socket, end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := start.recv(65_536):
            end.sendall(piece)
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_WR)
