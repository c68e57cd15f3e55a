"""The attacks, and how one is run: alone in namespaces of its own, in bounded time, so that nothing of it outlives it.

An attack is a function that returns when the promise holds, and raises `Broken` with the reason when it does not. Its name is a
sentence, and its promise is what the programs guarantee.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable

ATTACKS = {}


class Broken(Exception):
    """The promise does not hold; the text says why."""


class Skipped(Exception):
    """This machine lacks what the attack needs; the text says what."""


@dataclasses.dataclass
class Attack:
    run: Callable
    promise: str
    limit: int

    @property
    def name(self):
        return self.run.__name__


def attack(promise, limit=45):
    """Adds a function to the suite; it is given a folder of its own, and at most `limit` seconds."""

    def add(function):
        ATTACKS[function.__name__] = Attack(function, promise, limit)
        return function

    return add


def held(is_so, why):
    if not is_so:
        raise Broken(why)


def lacks(is_so, what):
    if is_so:
        raise Skipped(what)


# The child: one attack.


def loopback_up():
    """A new network namespace has a loopback interface that is down."""
    up_and_running = 0x41
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", up_and_running))


def run_here(name):
    """Runs an attack in this process, which is alone in its namespaces; writes the outcome to a file."""
    loopback_up()
    one = ATTACKS[name]
    work = pathlib.Path(os.environ["NIPHAS_SECURITY_WORK"])
    try:
        one.run(work)
        outcome = ("held", "")
    except Broken as broken:
        outcome = ("BROKEN", str(broken))
    except Skipped as skipped:
        outcome = ("SKIPPED", str(skipped))
    except SystemExit as error:
        outcome = ("BROKEN", str(error))
    except BaseException:
        outcome = ("BROKEN", f"the attack itself failed: {traceback.format_exc(limit=-4)}")
    (work / "outcome.json").write_text(json.dumps(outcome))
    sys.stdout.flush()
    os._exit(0)


# The parent: all attacks, some at a time.


def run_apart(script, name, programs, limit):
    """The outcome of an attack, run by another process in namespaces of its own."""
    # On a real file system: mounts of file-backed images need one.
    work = pathlib.Path(tempfile.mkdtemp(prefix="niphas-security.", dir="/var/tmp"))
    environment = {
        **os.environ,
        "NIPHAS_SECURITY_WORK": str(work),
        "NIPHAS_NODE_PROGRAMS": str(programs),
        "NIPHAS_SECURITY_PROGRAMS": str(programs),
        "NIPHAS_SECURITY_GROUP": f"niphas-security-{work.name.rsplit('.', 1)[1]}",
    }
    apart = ["unshare", "--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    began = time.monotonic()
    with open(work / "log", "wb") as log:
        process = subprocess.Popen([*apart, sys.executable, script, "--here", name], env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # The first process of the namespace ends with `unshare`, and all others with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    try:
        outcome = json.loads((work / "outcome.json").read_text())
    except (OSError, ValueError):
        lines = (work / "log").read_text(errors="replace").splitlines()
        outcome = ("BROKEN", f"not over after {limit} s" if time.monotonic() - began >= limit else f"the attack itself failed: {' '.join(lines[-5:])}")
    if not os.environ.get("NIPHAS_SECURITY_KEEP"):
        remove(work)
    remove_groups(environment["NIPHAS_SECURITY_GROUP"])
    return *outcome, time.monotonic() - began


def remove(work):
    """Removes a folder whose processes are ending."""
    for _ in range(20):
        shutil.rmtree(work, ignore_errors=True)
        if not work.exists():
            return
        # Deep trees are beyond what Python's own walk can remove.
        subprocess.run(["rm", "-rf", "--one-file-system", work], check=False, stderr=subprocess.DEVNULL)
        time.sleep(0.2)


def remove_groups(name):
    for group in pathlib.Path("/sys/fs/cgroup").glob(f"*/{name}*"):
        with contextlib.suppress(OSError):
            group.rmdir()
    for group in pathlib.Path("/sys/fs/cgroup").glob(f"{name}*"):
        with contextlib.suppress(OSError):
            group.rmdir()


def run_all(script, names, programs, at_once):
    """Runs attacks, the longest first; gives {name: (outcome, why, seconds)}."""
    waiting = sorted(names, key=lambda name: -ATTACKS[name].limit)
    outcomes, lock = {}, threading.Lock()

    def work():
        while True:
            with lock:
                if not waiting:
                    return
                name = waiting.pop(0)
            outcome = run_apart(script, name, programs, ATTACKS[name].limit)
            with lock:
                outcomes[name] = outcome
                word, why, seconds = outcome
                print(f"{word if word == 'held' else f'{word}: {one_line(why)}'}  [{name}, {seconds:.0f} s]", flush=True)

    workers = [threading.Thread(target=work) for _ in range(at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return outcomes


def one_line(text, most=400):
    """What came from outside must not write to this terminal either."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"
