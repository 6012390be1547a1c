"""``serve``: intake, worker, API and desk kept alive beside the embedded servers, on sockets bound before all else."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from revenue_engine import embedded
from revenue_engine.cli.output import CONFIGURATION, DEPENDENCY, FAILED, OK, err
from revenue_engine.config import Settings
from revenue_engine.errors import RevenueError
from revenue_engine.intake.listening import where_to_ask

_LOOK_EVERY = 0.3
_SERVERS_EVERY = 1.0
_SETTLED = 30.0
"""Seconds after which a child that ends did not fail at its start."""
_LONGEST_PATIENCE = 30.0
_CHILD_ENDS = 40.0


@dataclass(slots=True)
class Child:
    """One process of ours and when it may be started again."""

    name: str
    words: tuple[str, ...]
    descriptors: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    born: float = 0.0
    births: int = 0
    patience: float = 0.5
    due: float = 0.0

    def start(self) -> None:
        """Start it now."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "revenue_engine.cli", *self.words],
            env=os.environ.copy(),
            pass_fds=self.descriptors,
        )
        self.born = time.monotonic()
        self.births += 1

    def ended(self) -> int | None:
        """The code it ended with, None while it runs or before it was started."""
        return None if self.process is None else self.process.poll()


@dataclass(slots=True)
class Supervisor:
    """Runs the children until told to stop. ``run`` answers the exit code of ``serve``."""

    settings: Settings
    listening: socket.socket
    calls: socket.socket
    """Where the API listens."""
    pages: socket.socket
    """Where the desk listens."""
    say: Callable[[str], None] = lambda words: err.print(words, highlight=False, soft_wrap=True)
    stopping: bool = False
    children: list[Child] = field(default_factory=list)
    _reviving: threading.Thread | None = None
    _looked: float = 0.0
    _tried: float = 0.0
    _told_stopped: bool = False

    def run(self) -> int:
        """Start the intake, say when it answers, then worker, API and desk; start again what dies.

        Ends with 4 or 5 where the first start of a child fails for a setting or a server.
        """
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self._end)
        descriptor = self.listening.fileno()
        intake = Child("intake", ("intake", "--listening", str(descriptor)), (descriptor,))
        self.children.append(intake)
        try:
            intake.start()
            code = self._wait_until_ready(intake)
            if code is None and not self.stopping:
                host, port = self.settings.intake_host, self.settings.intake_port
                self.say(f"callbacks: http://{host}:{port}/cb/v1/<token>")
                self.say(f"API: http://{self.settings.api_host}:{self.settings.api_port}/docs")
                self.children.append(Child("worker", ("worker",)))
                own = self.calls.fileno()
                self.children.append(Child("api", ("api", "--listening", str(own)), (own,)))
                self.say(f"desk: http://{self.settings.desk_host}:{self.settings.desk_port}/")
                own = self.pages.fileno()
                self.children.append(Child("desk", ("desk", "--listening", str(own)), (own,)))
                code = self._keep_alive()
        finally:
            self._stop_children()
            self.listening.close()
            self.calls.close()
            self.pages.close()
        return OK if code is None else code

    def _end(self, *_: object) -> None:
        self.stopping = True

    def _wait_until_ready(self, intake: Child) -> int | None:
        """None once the intake answers; the exit code where it ended instead."""
        while not self.stopping:
            if (code := intake.ended()) is not None:
                return code if code in (CONFIGURATION, DEPENDENCY) else FAILED
            if self._is_live():
                return None
            time.sleep(0.1)
        return None

    def _is_live(self) -> bool:
        host, port = where_to_ask(self.settings.intake_host, self.settings.intake_port)
        asking = http.client.HTTPConnection(host, port, timeout=1)
        try:
            asking.request("GET", "/livez")
            return asking.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asking.close()

    def _keep_alive(self) -> int | None:
        while not self.stopping:
            for child in self.children:
                code = self._tend(child)
                if code is not None:
                    return code
            self._tend_servers()
            time.sleep(_LOOK_EVERY)
        return None

    def _tend(self, child: Child) -> int | None:
        """Start a child that is due; an exit code where it makes no sense to go on."""
        now = time.monotonic()
        if child.process is None:
            if now >= child.due:
                child.start()
            return None
        code = child.ended()
        if code is None:
            return None
        lived = now - child.born
        if child.births == 1 and lived < _SETTLED and code in (CONFIGURATION, DEPENDENCY):
            self.say(f"{child.name} cannot start; it says why above")
            return code
        child.patience = 0.5 if lived > _SETTLED else min(child.patience * 2, _LONGEST_PATIENCE)
        self.say(f"{child.name} ended with {code}; starting it again in {child.patience:.1f} s")
        child.process, child.due = None, now + child.patience
        return None

    def _tend_servers(self) -> None:
        """Start embedded servers again that died, beside the children, who wait for them by themselves."""
        now = time.monotonic()
        if now - self._looked < _SERVERS_EVERY or (self._reviving is not None and self._reviving.is_alive()):
            return
        self._looked = now
        if embedded.stopped(self.settings):
            if not self._told_stopped:
                self.say("the servers were stopped by a person: no callback is kept until a command starts them again")
            self._told_stopped = True
            return
        self._told_stopped = False
        names = embedded.dead(self.settings)
        if names and now - self._tried >= 2 * _SERVERS_EVERY:
            self._tried = now
            self.say(f"{' and '.join(names)} died; starting again")
            self._reviving = threading.Thread(target=self._revive, name="servers", daemon=True)
            self._reviving.start()

    def _revive(self) -> None:
        try:
            embedded.ensure(self.settings, make=False)
        except RevenueError as error:
            self.say(f"the servers do not come back: {error.message}")
        else:
            self.say("the servers are back")

    def _stop_children(self) -> None:
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(timeout=_CHILD_ENDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
