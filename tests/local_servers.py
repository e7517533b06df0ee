"""Real servers on this machine's loopback, for as long as a test lasts: PostgreSQL, MLflow's, and an S3 endpoint."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
NOBODY: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []}  # PostgreSQL refuses to be root
WITHOUT_FSYNC = "-c fsync=off -c unix_socket_directories= -c listen_addresses=127.0.0.1"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(folder: Path, port: int, *command: str, **how: Any) -> Iterator[None]:
    """A server's process, from when it answers on its port."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, **how)
    try:
        wait_for_port(port, server, log)
        yield
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()
        server.wait()


def wait_for_port(port: int, server: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        assert server.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def found(program: str) -> str:
    """PostgreSQL's programs lie beside the path on Debian."""
    path = shutil.which(program, path=os.pathsep.join((os.environ["PATH"], *debian_folders())))
    assert path, f"{program} is missing: on Debian, apt-get install postgresql"
    return path


def debian_folders() -> list[str]:
    return [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A fresh PostgreSQL with an empty database; its address, as MLflow wants it."""
    port, data = free_port(), folder / "postgresql"
    data.mkdir()
    how = NOBODY if os.geteuid() == 0 else {}
    if how:
        shutil.chown(data, how["user"], how["group"])
    initialise = [found("initdb"), "-D", str(data), "-U", "mlflow", "-A", "trust"]
    subprocess.run(initialise, cwd=data, check=True, stdout=subprocess.DEVNULL, **how)
    with serving(data, port, found("postgres"), "-D", str(data), "-p", str(port), *WITHOUT_FSYNC.split(), **how):
        yield f"postgresql://mlflow@127.0.0.1:{port}/postgres"


@contextmanager
def mlflow(folder: Path, store: str) -> Iterator[str]:
    """An MLflow server on a database; its address. As docs/cluster.md starts it."""
    port = free_port()
    where = ("--host", "127.0.0.1", "--port", str(port), "--workers", "2")
    stores = ("--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts"))
    silent = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with serving(folder, port, str(BIN / "mlflow"), "server", *where, *stores, env=silent):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def s3(folder: Path) -> Iterator[str]:
    """An S3 endpoint; its address."""
    port = free_port()
    with serving(folder, port, str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)):
        yield f"http://127.0.0.1:{port}"
