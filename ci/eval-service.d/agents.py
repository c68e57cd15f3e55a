"""What pods build at every moment: their processes are processes of this machine, whatever Kubernetes says of them."""

import collections
import itertools
import os
import pathlib
import re
import signal
import threading
import time

PERIOD = 0.15
# A process may become another program so long after it began.
YOUTH = 5


class Agents:
    """Samples the processes that build, by the hash of what they build and the UID of their pod."""

    def __init__(self):
        self.lock, self.end = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)
        # When each process was seen first, and the agents among them.
        self.processes, self.agents = {}, {}
        # When each build in a pod was seen first and last.
        self.times = {}

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()

    def sample(self):
        while not self.end.wait(PERIOD):
            self.look()

    def look(self):
        now, there = time.monotonic(), {int(name) for name in os.listdir("/proc") if name.isdigit()}
        with self.lock:
            self.processes = {pid: self.processes.get(pid, now) for pid in there}
            for pid in [pid for pid, since in self.processes.items() if now - since < YOUTH or pid in self.agents]:
                self.note(pid, now)
            self.agents = {pid: of for pid, of in self.agents.items() if pid in there}

    def note(self, pid, now):
        folder = pathlib.Path("/proc", str(pid))
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            pod = re.search(r"/pod([0-9a-f-]{36})", (folder / "cgroup").read_text()) if b"agent" in arguments else None
        except OSError:
            arguments, pod = [], None
        name = next((one.decode().removeprefix("--name=") for one in arguments if one.startswith(b"--name=")), None)
        if not pod or not name:
            # It ended, and waits for its parent.
            self.agents.pop(pid, None)
            return
        self.agents[pid] = (name, pod[1])
        self.times.setdefault((name, pod[1]), [now, now])[1] = now

    def running(self):
        """What is built at this moment."""
        with self.lock:
            return {name for name, _ in self.agents.values()}

    def pods(self, name):
        """The pods in which something was built, by their UIDs."""
        with self.lock:
            return {pod for build, pod in self.times if build == name}

    def kill(self, chance):
        """Kills one of them; what it built, if there was one."""
        with self.lock:
            pids = sorted(self.agents)
        if not pids:
            return None
        pid = chance.choice(pids)
        try:
            name = self.agents[pid][0]
            os.kill(pid, signal.SIGKILL)
        except (KeyError, ProcessLookupError):
            return None
        return name

    def overlaps(self):
        """What was built in two pods at the same time, with these."""
        by_name = collections.defaultdict(list)
        with self.lock:
            for (name, pod), times in self.times.items():
                by_name[name].append((pod, *times))
        found = []
        for name, builds in by_name.items():
            for (one, begin, end), (other, other_begin, other_end) in itertools.combinations(builds, 2):
                if begin <= other_end and other_begin <= end:
                    found.append((name, one, other, min(end, other_end) - max(begin, other_begin)))
        return found
