"""A group of processes with a limit of memory, in control groups of version 1 or 2. Needs root."""

import contextlib
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Groups of version 1 count by controller, and that of version 2 in one hierarchy.
V1, V2 = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")


class Unavailable(Exception):
    """Why no group can be made here."""


def deployed_memory(file="csi.yaml"):
    """The container's limit of memory in bytes, from deploy/."""
    found = re.search(r"limits: \{[^}]*memory: (\d+)Mi", (ROOT / "deploy" / file).read_text())
    return int(found[1]) << 20


class Group:
    """Made at once, with a limit in bytes."""

    def __init__(self, name, limit):
        self.v2 = (V2 / "cgroup.controllers").exists()
        self.parent = V2 if self.v2 else V1
        self.folder = self.parent / name
        if not self.v2 and not (V1 / "memory.limit_in_bytes").exists():
            raise Unavailable("there is no memory controller of control groups")
        try:
            if self.v2:
                with contextlib.suppress(OSError):
                    (V2 / "cgroup.subtree_control").write_text("+memory")
            self.folder.mkdir(exist_ok=True)
            (self.folder / ("memory.max" if self.v2 else "memory.limit_in_bytes")).write_text(str(limit))
        except OSError as error:
            raise Unavailable(f"no control group can be made: {error}") from error

    def prefix(self):
        """What a command is run by to be in the group."""
        return ["sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh"]

    def enter(self):
        """Moves this process, and what it starts from now on, into the group."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def leave(self):
        (self.parent / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self):
        """In MiB, the kernel's copies of files included; None where the kernel does not count."""
        with contextlib.suppress(OSError):
            return int((self.folder / ("memory.peak" if self.v2 else "memory.max_usage_in_bytes")).read_text()) / 2**20
        return None

    def remove(self):
        """Once its processes have ended."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()
