"""A Slurm of one node on this machine: munge, controller and node as plain processes with their files in one folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from local_servers import free_port

# Where Slurm's commands look without SLURM_CONF, which the plugin takes from a job's environment. On a cluster it is a
# link of slurmd's.
LINK = Path("/run/slurm/conf")
OTHERS = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
MinJobAge=3600
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory={megabytes} Gres=gpu:2
PartitionName=all Nodes={host} Default=YES MaxTime=2-0 State=UP
"""
CGROUPS = "CgroupPlugin=autodetect\nIgnoreSystemd=yes\nCgroupAutomount=yes\n"


def missing() -> list[str]:
    """What this machine lacks for a Slurm of one node."""
    return [program for program in PROGRAMS if shutil.which(program, path=search_path()) is None]


def search_path() -> str:
    return os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))


class OneNode:
    """Started when entered, gone when left; `environment` makes Slurm's commands talk to it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))  # short: a socket's path has 108 characters
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> OneNode:
        try:
            self.configure()
            self.start_munge()
            self.start("slurmctld", "-D")
            self.start("slurmd", "-D")
            self.wait_for(lambda: self.state() == "IDLE", 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for job in self.jobs() if "slurmctld" in self.daemons else ():
            if job["JobState"] == "RUNNING":
                self.kill(job["JobId"])
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self.daemons:
                self.stop(name, signal.SIGTERM)
        if LINK.is_symlink() and LINK.readlink() == self.folder:
            LINK.unlink()
        shutil.rmtree(self.folder)

    def configure(self) -> None:
        for path in (LINK, OTHERS):
            assert not os.path.lexists(path), f"{path} is there: this machine has a Slurm of its own"
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        megabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 - 500
        facts = {"folder": self.folder, "host": socket.gethostname().split(".")[0], "megabytes": megabytes}
        ports = {"controller_port": free_port(), "node_port": free_port()}
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**facts, **ports))
        LINK.parent.mkdir(exist_ok=True)
        LINK.symlink_to(self.folder)
        (self.folder / "cgroup.conf").write_text(CGROUPS)
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-1]\n")
        for number in range(2):  # pretend GPUs: /dev/null by another name
            os.mknod(self.folder / f"gpu{number}", 0o20666, os.makedev(1, 3))

    def start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        self.folder.chmod(0o711)
        files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid", "log-file": "munged.log"}
        options = [f"--{name}={self.folder / file}" for name, file in {**files, "seed-file": "munge.seed"}.items()]
        self.start("munged", "--foreground", "--force", *options)
        self.wait_for((self.folder / "munge.socket").exists, 20)

    def start(self, name: str, *options: str) -> None:
        environment = {**os.environ, **self.environment}
        with (self.folder / f"{name}.out").open("ab") as out:
            command = [shutil.which(name, path=search_path()) or name, *options]
            self.daemons[name] = subprocess.Popen(command, env=environment, stdout=out, stderr=out)

    def stop(self, name: str, how: signal.Signals) -> None:
        daemon = self.daemons.pop(name)
        daemon.send_signal(how)
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def forget(self) -> None:
        """Empty the node's spool, as a machine that starts anew does.

        Slurm 22.05 does not start a job again whose folder is still there without its script, and holds it.
        """
        for folder in (self.folder / "spool").glob("job*"):
            shutil.rmtree(folder)

    def kill(self, job: str) -> None:
        """Kill what a job runs on the node as the failure of a machine would: its keeper first, who would tell."""
        for file, sign in (("cmdline", f"slurmstepd: [{job}."), ("environ", f"\0SLURM_JOB_ID={job}\0")):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if sign.encode() in b"\0" + (process / file).read_bytes():
                        os.kill(int(process.name), signal.SIGKILL)

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True)
        return done.stdout + done.stderr

    def state(self) -> str:
        """Of the node."""
        return self.run("sinfo", "--noheader", "--format=%T").strip().upper()

    def jobs(self) -> list[dict[str, str]]:
        """Every job that the controller knows, finished ones too."""
        lines = self.run("scontrol", "show", "job", "--oneliner").splitlines()
        return [dict(fact.split("=", 1) for fact in line.split() if "=" in fact) for line in lines if "JobId=" in line]

    def wait_for(self, condition, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"it did not come to that in {seconds:.0f} s:\n{self.story()}"
            time.sleep(0.1)

    def story(self) -> str:
        outs = sorted(self.folder.glob("*.out"))
        return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in outs) + self.run(
            "scontrol", "show", "node"
        )
