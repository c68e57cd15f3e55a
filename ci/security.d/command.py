"""Runs the command line programs as a job of CI would, in bounded time and memory, with a home of its own."""

import dataclasses
import os
import pathlib
import resource
import signal
import subprocess
import threading
import time

PROGRAMS = pathlib.Path(os.environ.get("NIPHAS_SECURITY_PROGRAMS", "/nonexistent"))
# No file of a program may be larger: what writes without a bound ends here, not on the disk.
LARGEST_FILE = 1 << 30


@dataclasses.dataclass
class Done:
    code: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    memory: float

    @property
    def output(self):
        return (self.stdout + self.stderr).decode(errors="replace")

    @property
    def last(self):
        """The end of what it said, for a reason."""
        return self.stderr.decode(errors="replace")[-300:]

    @property
    def crashed(self):
        """Whether it ended otherwise than by an answer: by a signal, or by a panic."""
        return self.code is not None and (self.code < 0 or self.code > 128 or b"panicked at" in self.stderr)


def home(work):
    """What a user has: a home, and nothing in it."""
    folder = work / "home"
    folder.mkdir(exist_ok=True)
    return folder


def run(work, program, *arguments, seconds=30, largest_file=LARGEST_FILE, address_space=None, **environment):
    """Runs a program; `code` is None if it had to be ended after `seconds`, `memory` is its most resident memory in MiB."""
    here = home(work)
    keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    settings = {**keep, "HOME": str(here), "XDG_CACHE_HOME": str(here / ".cache"), "NO_COLOR": "1", "GIT_CONFIG_GLOBAL": "/dev/null", **environment}

    def bounds():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if address_space:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

    began = time.monotonic()
    out, err = here / f"out-{threading.get_ident()}-{time.monotonic_ns()}", here / f"err-{threading.get_ident()}-{time.monotonic_ns()}"
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        process = subprocess.Popen(
            [str(PROGRAMS / program), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=settings,
            cwd=work,
            preexec_fn=bounds,
            start_new_session=True,
        )
        ended = threading.Event()

        def end():
            if not ended.wait(seconds):
                process.send_signal(signal.SIGKILL)

        watch = threading.Thread(target=end, daemon=True)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        taken = time.monotonic() - began
        ended.set()
        watch.join()
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    done = Done(None if code == -9 and taken >= seconds else code, out.read_bytes(), err.read_bytes(), taken, usage.ru_maxrss / 1024)
    out.unlink()
    err.unlink()
    return done


def niphas(work, *arguments, **options):
    return run(work, "niphas", *arguments, **options)


def evaluate(work, reference, *arguments, **options):
    """`niphas eval` of a flake's output; no registry is asked."""
    return niphas(work, "eval", reference, "--no-registries", *arguments, **options)
