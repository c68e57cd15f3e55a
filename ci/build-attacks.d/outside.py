"""The machine around the builds: what an attack looks for, and what it must not leave behind."""

import contextlib
import ctypes
import os
import pathlib
import secrets
import socket
import subprocess
import threading

METADATA, METADATA6 = "169.254.169.254", "fd00:ec2::254"
# For keys and shared memory.
_LIBC = ctypes.CDLL(None, use_errno=True)


class Outside:
    """What can be found from outside of a sandbox, in namespaces that are ours alone."""

    def __init__(self, work):
        self.work, self.secret = work, secrets.token_hex(8)
        self.marker = pathlib.Path("/var/tmp") / f"niphas-attack-{self.secret}"
        self.marker.write_text(self.secret)
        self.marker.chmod(0o644)
        self.marker_state = self.state(self.marker)
        (work / "input").mkdir()
        (work / "input/file").write_text("input\n")
        for command in (["ip", "link", "set", "lo", "up"], ["ip", "addr", "add", f"{METADATA}/32", "dev", "lo"], ["ip", "addr", "add", f"{METADATA6}/128", "dev", "lo"]):
            subprocess.run(command, check=True)
        self.machine, self.allowed = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
        listen(METADATA, 80)
        listen(METADATA6, 80, socket.AF_INET6)
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0{self.abstract}")
        abstract.listen()
        self.open = [abstract]
        pathlib.Path("/dev/shm/niphas-attack").write_text(self.secret)
        self.shared_memory = 0x6E697068
        _LIBC.shmget(self.shared_memory, 4096, 0o1666)
        # Into the session's keyring, which children inherit.
        _LIBC.syscall(250, 1, b"niphas-attack")
        _LIBC.syscall(248, b"user", b"niphas-attack", self.secret.encode(), len(self.secret), -3)
        subprocess.run(["true"], check=True)

    @property
    def abstract(self):
        return f"niphas-attack-{self.secret}"

    def environment(self, store, programs):
        """What attacks.nix reads, and the secret in the environment of the program that builds."""
        return {
            "NIPHAS_ATTACK_PROGRAMS": str(programs),
            "NIPHAS_ATTACK_INPUT": str(self.work / "input"),
            "NIPHAS_ATTACK_MARKER": str(self.marker),
            "NIPHAS_ATTACK_SECRET": self.secret,
            "NIPHAS_ATTACK_PORT": str(self.machine),
            "NIPHAS_ATTACK_ALLOWED": str(self.allowed),
            "NIPHAS_ATTACK_ABSTRACT": self.abstract,
            "NIPHAS_ATTACK_SHM": str(self.shared_memory),
            "NIPHAS_ATTACK_STORE": str(store),
            "NIPHAS_ATTACK_OUTSIDE": self.secret,
        }

    @staticmethod
    def state(path):
        stat = path.lstat()
        return stat.st_mode, stat.st_uid, stat.st_gid, path.read_bytes()

    def untouched(self):
        return self.state(self.marker) == self.marker_state

    def close(self):
        self.marker.unlink(missing_ok=True)
        pathlib.Path("/dev/shm/niphas-attack").unlink(missing_ok=True)


def listen(address, port, family=socket.AF_INET):
    """Answers on a port of TCP, and on the same of UDP; gives the port."""
    stream = socket.socket(family)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    stream.bind((address, port))
    stream.listen(64)
    port = stream.getsockname()[1]
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    datagrams.bind((address, port))

    def accept():
        while True:
            connection, _ = stream.accept()
            with contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nsecret")
            connection.close()

    def echo():
        while True:
            data, peer = datagrams.recvfrom(2048)
            datagrams.sendto(data or b"x", peer)

    for serve in (accept, echo):
        threading.Thread(target=serve, daemon=True).start()
    return port


def own_processes():
    """The ids of all processes of this process namespace."""
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}


def cgroups():
    """Control groups that builds made: other suites, which may run at the same time, name theirs otherwise."""
    return {str(folder) for folder in pathlib.Path("/sys/fs/cgroup").glob("**/niphas-build-*") if folder.is_dir()}


def has_controllers():
    """Whether control groups of version 2 can limit memory: with version 1 the controller belongs to that."""
    files = [pathlib.Path("/sys/fs/cgroup") / folder / "cgroup.controllers" for folder in ("", "unified")]
    found = [file.read_text().split() for file in files if file.exists()]
    return any("memory" in controllers for controllers in found)


def mounts(folder):
    """Mounts that have to do with a folder."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(folder) in line]
