"""Daemons: started detached, found again by their pid file, ended only when they are certainly ours."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from revenue_engine.embedded import state as files
from revenue_engine.errors import ConfigurationError, Retryable

SOCKET_PATH_LIMIT = 100
"""A Unix socket address holds 104 bytes on macOS and 108 on Linux; a margin is kept."""
_RESTART_SECONDS = 20
_READY_SECONDS = 180
_LOST_SOCKET_SECONDS = 10
_STOP_SECONDS = 40
_LOG_LIMIT = 10_000_000
_NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+", re.ASCII)
_LONGEST_NAME = ".s.PGSQL.5432.lock"
_TRY_AGAIN = ("shared memory", "lock file", "still in use", "another postmaster")


@dataclass(frozen=True)
class Runner:
    """How a server process is started: as this user, in a user namespace, or as another account."""

    mode: str
    prefix: tuple[str, ...] = ()
    uid: int | None = None
    """The account to become; None keeps this user."""
    gid: int | None = None

    def run(self, argv: list[str], *, folder: Path, seconds: int) -> subprocess.CompletedProcess[str]:
        """Run one command to its end with a clean environment: PG* variables of the caller must not steer a server."""
        try:
            return subprocess.run(
                argv,
                cwd=folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
                start_new_session=True,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
        except OSError as error:
            raise ConfigurationError(f"{argv[0]} cannot be run ({error.strerror}), as {self.mode}") from error
        except subprocess.TimeoutExpired as error:
            raise Retryable(f"{argv[0]} did not end within {seconds} seconds") from error

    def give(self, *paths: Path) -> None:
        """Hand paths to the account the server runs as."""
        if self.uid is not None and self.gid is not None:
            for path in paths:
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


@dataclass(frozen=True)
class Service:
    """What it takes to bring one server up. ``probe`` answers "" once the server is ready, else why it is not."""

    name: str
    folder: Path
    pidfile: Path
    log: Path
    socket: Path
    argv: tuple[str, ...]
    probe: Callable[[], str]


def choose_runner(state: Path) -> Runner:
    """Choose how servers are run: PostgreSQL wants a user that is not root and has a name."""
    me = os.geteuid()
    data = next((folder for folder in (state / "pg", state / "valkey") if folder.exists()), None)
    owner = data.stat().st_uid if data else me
    if me != 0 and owner != me:
        raise ConfigurationError(
            f"{data} belongs to user {owner} and this is user {me}: run as that user, or set REVENUE_STATE_DIR to "
            "another folder",
            variable="REVENUE_STATE_DIR",
        )
    if me != 0 and _user_name(me):
        return Runner("direct")
    if owner != me and data:
        return _account(state, owner, data.stat().st_gid)
    if shutil.which(_NAMESPACE[0]):
        probe = Runner("probe").run([*_NAMESPACE, "true"], folder=Path("/"), seconds=10)
        if probe.returncode == 0:
            return Runner("namespace", _NAMESPACE)
    for name in ("postgres", "nobody") if me == 0 else ():
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            return _account(state, account.pw_uid, account.pw_gid)
    raise ConfigurationError(
        f"PostgreSQL does not run as user {me} and user namespaces are not allowed here: run as an ordinary user, or "
        "set REVENUE_DATABASE_URL to a PostgreSQL that runs already",
        variable="REVENUE_DATABASE_URL",
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _account(state: Path, uid: int, gid: int) -> Runner:
    """Run servers as another account, which must be able to reach the folder it is given."""
    runner = Runner(f"account:{_user_name(uid) or uid}", uid=uid, gid=gid)
    # Root reads everything anyway; the account needs the folder, its data and its own password to make the data.
    runner.give(
        *(path for path in (state, state / "pg.secret", state / "pg.log", state / "valkey.log") if path.exists())
    )
    for folder in (state / "pg", state / "valkey"):
        if folder.exists() and folder.stat().st_uid != uid:
            runner.give(folder, *folder.rglob("*"))
    if runner.run(
        ["/bin/sh", "-c", 'test -x "$1" -a -w "$1"', "sh", str(state)], folder=Path("/"), seconds=10
    ).returncode:
        raise ConfigurationError(
            f"this is root, PostgreSQL has to run as {runner.mode.removeprefix('account:')}, and that account cannot "
            f"reach {state}: set REVENUE_STATE_DIR to a folder under one it may enter, such as /var/lib/revenue-engine",
            variable="REVENUE_STATE_DIR",
        )
    if runner.run(["/bin/sh", "-c", 'test -x "$1"', "sh", sys.prefix], folder=Path("/"), seconds=10).returncode:
        raise ConfigurationError(
            f"this is root, the servers have to run as {runner.mode.removeprefix('account:')}, and that account cannot "
            f"enter {sys.prefix}, where their programs stand: install under a folder it may enter, such as /opt, or run"
            " as an ordinary user"
        )
    return runner


def socket_dir(state: Path, runner: Runner) -> Path:
    """The folder of the sockets: where running servers have them, else ``run/``, else a short private folder."""
    recorded = files.recorded(state).get("socket_dir")
    alive = living(state / "pg" / "postmaster.pid", state / "pg") or living(
        state / "valkey" / "valkey.pid", state / "valkey"
    )
    if recorded and alive:
        return Path(recorded)
    run = state / "run"
    if not _fits(run):
        name = f"revenue-{os.geteuid()}-{hashlib.sha256(str(state).encode()).hexdigest()[:12]}"
        run = next((d / name for d in (Path(tempfile.gettempdir()), Path("/tmp")) if _fits(d / name)), run)  # noqa: S108
    if not _fits(run):
        raise ConfigurationError(
            f"no folder is short enough for a socket: {run}; set REVENUE_STATE_DIR to a shorter path",
            variable="REVENUE_STATE_DIR",
        )
    run.mkdir(mode=0o700, exist_ok=True)
    made = run.lstat()
    # In a shared temporary directory somebody else may have made the folder first, to listen in our place.
    if not stat.S_ISDIR(made.st_mode) or made.st_uid not in (os.geteuid(), runner.uid):
        raise ConfigurationError(
            f"{run} belongs to somebody else; remove it or set REVENUE_STATE_DIR to a shorter path"
        )
    run.chmod(0o700)
    runner.give(run)
    files.record(state, socket_dir=str(run))
    return run


def _fits(folder: Path) -> bool:
    longest = len(os.fsencode(folder / _LONGEST_NAME))
    return longest < SOCKET_PATH_LIMIT and _PLAIN_PATH.fullmatch(str(folder)) is not None


def pid_in(pidfile: Path) -> int | None:
    """The process number on a pid file's first line, or None."""
    try:
        first = pidfile.read_text().split("\n", 1)[0].strip()
    except OSError:
        return None
    return int(first) if first.isdigit() and int(first) > 1 else None


def _running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be buried."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return not Path("/proc/self/stat").exists()


def is_ours(pid: int, folder: Path) -> bool:
    """Whether a process is a server working in ``folder``: pid files outlive processes, and numbers are reused."""
    if not _running(pid):
        return False
    proc = Path(f"/proc/{pid}")
    if Path("/proc/self/stat").exists():
        try:
            name = (proc / "comm").read_text()
            return name.startswith(("postgres", "valkey", "redis")) and (proc / "cwd").samefile(folder)
        except OSError:
            return False
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return str(folder) in shown.stdout


def living(pidfile: Path, folder: Path) -> int | None:
    """The process a pid file names, when it lives and is ours."""
    pid = pid_in(pidfile)
    return pid if pid is not None and is_ours(pid, folder) else None


def _tail(log: Path, size: int = 2000) -> str:
    """The end of a log, for an error message."""
    try:
        text = log.read_bytes()[-size:].decode(errors="replace").strip()
    except OSError:
        text = ""
    return f"\n--- end of {log}\n{text}" if text else f" ({log} is empty)"


def _spawn(service: Service, runner: Runner, state: Path) -> int:
    """Start a server as a daemon in a session of its own and return its process number.

    A shell puts it in the background and ends, so the server is nobody's child: it gets no signal of our terminal
    and leaves no dead child behind in a long-lived caller.
    """
    script = 'umask 077; log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'
    command = ["/bin/sh", "-c", script, "sh", str(service.log), *runner.prefix, *service.argv]
    started = runner.run(command, folder=state, seconds=30)
    if started.returncode or not started.stdout.strip().isdigit():
        raise Retryable(f"{service.name} could not be started: {started.stderr.strip()}")
    return int(started.stdout)


def bring_up(service: Service, runner: Runner, state: Path) -> int:
    """Attach to a running server or start it, and wait until it answers. Returns its process number.

    After a kill of the server its last children may hold shared memory for a moment: the start is then tried again.
    """
    begun = time.monotonic()
    spawned: int | None = None
    seen = len(service.log.read_bytes()) if service.log.exists() else 0
    while True:
        waited = time.monotonic() - begun
        pid = living(service.pidfile, service.folder)
        if pid is None and (spawned is None or not _running(spawned)):
            said = service.log.read_bytes()[seen:].decode(errors="replace") if spawned else ""
            if spawned and (waited > _RESTART_SECONDS or not any(sign in said for sign in _TRY_AGAIN)):
                raise Retryable(f"{service.name} does not start{_tail(service.log)}", log=service.log)
            if spawned:
                time.sleep(0.3)
            _forget_stale_locks(service)
            spawned = _spawn(service, runner, state)
        why = service.probe()
        if not why and (pid := living(service.pidfile, service.folder)):
            return pid
        if pid and not spawned and waited > _LOST_SOCKET_SECONDS and not service.socket.exists():
            # Cleaners of temporary directories remove sockets; nobody can reach this server any more.
            end(service.name, pid, service.folder, signal.SIGINT)
        if waited > _READY_SECONDS:
            raise Retryable(
                f"{service.name} did not become ready within {_READY_SECONDS} seconds: {why}{_tail(service.log)}",
                log=service.log,
            )
        time.sleep(0.02 if waited < 2 else 0.2)


def _forget_stale_locks(service: Service) -> None:
    """Remove a lock file whose process number now belongs to a stranger; a server would take the stranger for itself.

    Only where /proc shows that no process at all works in the data folder.
    """
    if not Path("/proc/self/stat").exists():
        return
    for lock in (service.pidfile, service.socket.with_name(f"{service.socket.name}.lock")):
        pid = pid_in(lock)
        if pid is None or not _running(pid):
            continue
        processes = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        if not any(is_ours(process, service.folder) for process in processes):
            lock.unlink(missing_ok=True)


def end(name: str, pid: int, folder: Path, wish: signal.Signals) -> None:
    """End one of our servers: ask, wait, and insist once. PostgreSQL recovers from SIGQUIT, Valkey from its log."""
    for sign, seconds in ((wish, _STOP_SECONDS), (signal.SIGQUIT, 10)):
        if not is_ours(pid, folder):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _running(pid):
                return
            time.sleep(0.02)
    raise Retryable(f"{name} (process {pid}) does not stop", pid=pid)


def rotate(log: Path) -> None:
    """Set a long log aside before a start; a server that runs keeps its file."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_name(f"{log.name}.1"))
