"""Runs programs in turn, and says how long each takes and how much memory it holds at most."""

import ctypes
import dataclasses
import os
import pathlib
import statistics
import time

_PR_SET_CHILD_SUBREAPER = 36
# Short programs run more often than they have to.
MOST_RUNS = 31
ENOUGH_SECONDS = 4.0


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


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of one run: on the clock, in the program, and in the kernel for it."""

    wall: float
    user: float
    system: float


def times(command, environment, output):
    """The times of one run; its standard output goes to the file `output`."""
    start = time.perf_counter()
    process = _spawn(command, environment, output)
    _, status, usage = os.wait4(process, 0)
    taken = time.perf_counter() - start
    _check(status, command, output)
    return Times(taken, usage.ru_utime, usage.ru_stime)


def median_times(runs):
    """The median of each time."""
    return Times(*(statistics.median(getattr(run, field.name) for run in runs) for field in dataclasses.fields(Times)))


def give_memory_back(seconds=5):
    """Makes memory cold: drops the page cache, and waits until a virtual machine has given what is free to its host."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    time.sleep(seconds)


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
    taken, _, memory = once_with_processors(command, environment, output)
    return taken, memory


def once_with_processors(command, environment, output):
    """The wall time, the time of processors, and the most resident memory of one run."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    start = time.perf_counter()
    starter = _spawn(["setsid", "--fork", *command], environment, output)
    os.waitpid(starter, 0)
    _, status, usage = os.wait4(-1, 0)
    taken = time.perf_counter() - start
    _check(status, command, output)
    return taken, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare(commands, environment, folder, least_runs=5, before_each=lambda: None):
    """(times, MiB) of each command: medians of runs in turn, and peaks. All must print the same."""
    outputs = [f"{folder}/output-{number}" for number in range(len(commands))]
    peaks = [peak_mib(command, environment, output) for command, output in zip(commands, outputs)]
    texts = [open(output, "rb").read() for output in outputs]
    for text in texts[1:]:
        if text != texts[0]:
            raise Failed(f"the outputs differ: {texts[0][:200]!r}, {text[:200]!r}")
    runs = [[] for _ in commands]
    taken = 0.0
    while len(runs[0]) < least_runs or (len(runs[0]) < MOST_RUNS and taken < ENOUGH_SECONDS):
        for own, command, output in zip(runs, commands, outputs):
            before_each()
            own.append(times(command, environment, output))
            taken += own[-1].wall
    return list(zip(map(median_times, runs), peaks))
