"""Runs two programs in turn, and says how long each takes and how much memory it holds at most."""

import ctypes
import os
import statistics
import time

_PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """A program did not end well; the text says how."""


def _spawn(command, environment, output):
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, f"{output}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    return os.posix_spawnp(command[0], command, environment, file_actions=actions)


def _check(status, command, output):
    if os.waitstatus_to_exitcode(status) != 0:
        with open(f"{output}.err", errors="replace") as stderr:
            raise Failed(f"{' '.join(command)}: {stderr.read()[-500:]}")


def seconds(command, environment, output):
    """The wall time of one run; its standard output goes to the file `output`."""
    start = time.perf_counter()
    process = _spawn(command, environment, output)
    _, status = os.waitpid(process, 0)
    taken = time.perf_counter() - start
    _check(status, command, output)
    return taken


def peak_mib(command, environment, output):
    """The most resident memory of one run.

    A process's peak counts what it held before it became this program, and this interpreter holds more than a small
    program does. So a small one, `setsid --fork`, starts it and ends, and it becomes our child.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    starter = _spawn(["setsid", "--fork", *command], environment, output)
    os.waitpid(starter, 0)
    _, status, usage = os.wait4(-1, 0)
    _check(status, command, output)
    return usage.ru_maxrss / 1024


def once(command, environment, output):
    """The wall time and the most resident memory of one run."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    start = time.perf_counter()
    starter = _spawn(["setsid", "--fork", *command], environment, output)
    os.waitpid(starter, 0)
    _, status, usage = os.wait4(-1, 0)
    taken = time.perf_counter() - start
    _check(status, command, output)
    return taken, usage.ru_maxrss / 1024


def compare(ours, peer, environment, folder, least_runs=5, most_runs=31, enough_seconds=3.0):
    """Medians of interleaved runs: (our seconds, the peer's, our MiB, the peer's). Both must print the same."""
    sides = [(ours, f"{folder}/ours"), (peer, f"{folder}/peer")]
    peaks = [peak_mib(command, environment, output) for command, output in sides]
    texts = [open(output, "rb").read() for _, output in sides]
    if texts[0] != texts[1]:
        raise Failed(f"the outputs differ: {texts[0][:200]!r}, {texts[1][:200]!r}")
    times = ([], [])
    while len(times[0]) < least_runs or (len(times[0]) < most_runs and sum(times[0]) + sum(times[1]) < enough_seconds):
        for taken, (command, output) in zip(times, sides):
            taken.append(seconds(command, environment, output))
    return (*map(statistics.median, times), *peaks)
