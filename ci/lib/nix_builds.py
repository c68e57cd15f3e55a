"""Real Nix, building with its sandbox into a store of its own."""

import bz2
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys

# Build users are ids that no account has, as with a daemon: so what a builder does not own is seen not to be its own.
CONFIG = """
build-users-group =
auto-allocate-uids = true
sandbox = true
sandbox-fallback = false
sandbox-paths = /bin/sh={shell}
substituters =
log-lines = 25
experimental-features = nix-command flakes auto-allocate-uids {features}
"""
# What changes what a derivation may be.
FEATURES = "ca-derivations impure-derivations dynamic-derivations"
SHELL = "/bin/busybox"


def private_folder(name):
    """A folder for a store: Nix wants no parent that others can write."""
    cache = pathlib.Path(os.environ.get("NIPHAS_CI_CACHE", pathlib.Path.home() / ".cache/niphas-ci"))
    folder = cache / f"{name}-{os.getpid()}"
    folder.mkdir(mode=0o755, parents=True)
    return folder


def remove(folder):
    """Removes a folder with a store in it, whose folders cannot be written."""
    subprocess.run(["chmod", "-R", "u+w", folder], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


class Nix:
    """Its programs, in the folder NIPHAS_ORACLE, and a store below `work`."""

    def __init__(self, work, config=""):
        folder = os.environ.get("NIPHAS_ORACLE")
        if not folder:
            sys.exit(f"{sys.argv[0]}: NIPHAS_ORACLE must name the folder of Nix's programs (ci/oracle --newest prints it)")
        if not pathlib.Path(SHELL).exists():
            sys.exit(f"{sys.argv[0]}: {SHELL} is missing: install busybox-static")
        self.programs, self.store = pathlib.Path(folder), work / "nix"
        (work / "conf").mkdir()
        (work / "conf/nix.conf").write_text(CONFIG.format(shell=SHELL, features=FEATURES) + config)
        (work / "home").mkdir(exist_ok=True)
        self.settings = {"PATH": os.environ["PATH"], "HOME": str(work / "home"), "NIX_CONF_DIR": str(work / "conf"), "NIX_PATH": ""}
        self.run("nix-instantiate", "--eval", "--read-write-mode", "-E", 'builtins.toFile "first" ""')

    def command(self, program, *arguments):
        return [str(self.programs / program), *map(str, arguments), "--store", str(self.store)]

    def environment(self, **extra):
        return {**self.settings, **extra}

    def run(self, program, *arguments, check=True, **extra):
        """What came of a program; unless `check` is false, it must succeed."""
        done = subprocess.run(
            self.command(program, *arguments), env=self.environment(**extra), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if check and done.returncode != 0:
            sys.exit(f"{sys.argv[0]}: {program} {' '.join(map(str, arguments))[:200]}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done

    def evaluate(self, expression, **extra):
        """The value of an expression; its derivations are in the store then."""
        done = self.run("nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "-E", expression, **extra)
        return json.loads(done.stdout)

    def database(self):
        return sqlite3.connect(self.store / "nix/var/nix/db/db.sqlite")

    def closure(self, database, paths):
        """The base names of the derivations that some paths of derivations need, theirs included."""
        seen, waiting = set(), list(paths)
        while waiting:
            path = waiting.pop()
            if path not in seen:
                seen.add(path)
                found = "SELECT r.path FROM Refs JOIN ValidPaths v ON v.id = referrer JOIN ValidPaths r ON r.id = reference WHERE v.path = ?"
                waiting += [other for (other,) in database.execute(found, (path,)) if other.endswith(".drv")]
        return {path.rsplit("/", 1)[-1] for path in seen}

    def info(self, database, path):
        """What the store knows of a path."""
        row = database.execute("SELECT id, hash, narSize, ca FROM ValidPaths WHERE path = ?", (path,)).fetchone()
        if row is None:
            return {"path": path, "valid": False}
        references = "SELECT path FROM Refs JOIN ValidPaths ON id = reference WHERE referrer = ? ORDER BY path"
        return {
            "path": path,
            "narHash": row[1].removeprefix("sha256:"),
            "narSize": row[2],
            "references": [other for (other,) in database.execute(references, (row[0],))],
        }

    def logs(self):
        """All logs: {base name of the derivation: bytes}."""
        files = (self.store / "nix/var/log/nix/drvs").glob("*/*.bz2")
        return {file.parent.name + file.name.removesuffix(".bz2"): bz2.decompress(file.read_bytes()) for file in files}


def our_logs(store):
    """The logs that `niphas build` keeps: {base name of the derivation: bytes}."""
    files = sorted((store / "logs").glob("*.drv.zst"))
    return {file.name.removesuffix(".zst"): subprocess.run(["zstd", "-dcq", file], capture_output=True, check=False).stdout for file in files}


def derivation_name(path):
    """The name of a derivation, by its store path or base name."""
    return path.rsplit("/", 1)[-1][33:].removesuffix(".drv")


def errors(stderr):
    """The messages in what a program said, without the lines of logs that Nix repeats in them: these are compared whole."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stderr.decode(errors="replace")).splitlines()
    found = []
    for line in lines:
        if re.match(r"(error|warning):", line):
            found.append([line])
        elif found and found[-1] and (line.startswith("  ") or not line):
            found[-1].append(line)
        else:
            found.append([])
    return [without_log("\n".join(message).rstrip()) for message in found if message]


def without_log(message):
    message = re.sub(r"\n +Last \d+ log lines:(\n +>.*)*", "", message)
    return re.sub(r"\n +For full logs, run:\n +.*", "", message)
