"""Pods that run from volumes, and notice whatever happens to them."""

import hashlib
import os
import pathlib
import subprocess
import threading
import time

import csi


class Pod:
    """A process in a mount namespace of its own, that has a volume at its /mnt, as a container has it at /nix."""

    def __init__(self, name, target, closure):
        self.name, self.closure = name, closure
        # Its mounts come from the node's, and the node's changes do not reach it.
        script = 'mount --rbind "$1" /mnt && mount --make-rprivate /mnt && echo ready && exec sleep infinity'
        self.process = csi.start("unshare", "--mount", "--propagation", "slave", "sh", "-c", script, "sh", target, stdout=subprocess.PIPE)
        csi.equal(self.process.stdout.readline(), b"ready\n", f"pod {name} starts")
        self.store = pathlib.Path(f"/proc/{self.process.pid}/root/mnt/store")
        files = [path for path in (self.store / closure.root).rglob("*") if path.is_file() and not path.is_symlink()]
        self.files = {path: hashlib.sha256(path.read_bytes()).digest() for path in sorted(files)[:3]}
        csi.check(self.files, f"pod {name} has files")

    def check(self):
        """Everything is as it was: also what is not in the page cache."""
        if sorted(os.listdir(self.store)) != sorted(self.closure.infos):
            raise AssertionError(f"pod {self.name} sees other store paths")
        for path, wanted in self.files.items():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                if hashlib.sha256(file.read()).digest() != wanted:
                    raise AssertionError(f"pod {self.name} reads another {path.name}")

    def end(self):
        self.process.kill()
        self.process.wait()


class Watch:
    """Looks at pods all the time. What any of them notices fails the suite when this ends."""

    def __init__(self, pods, pause=0.02):
        self.pods, self.pause = pods, pause
        self.looks, self.noticed, self.over = 0, [], False

    def __enter__(self):
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def _look(self):
        while not self.over and not self.noticed:
            for pod in self.pods:
                try:
                    pod.check()
                except (OSError, AssertionError) as error:
                    self.noticed.append(f"{pod.name}: {error!r}")
                self.looks += 1
            time.sleep(self.pause)

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        csi.equal(self.noticed, [], "what running pods noticed")
        csi.check(self.looks >= len(self.pods), "pods were looked at")
