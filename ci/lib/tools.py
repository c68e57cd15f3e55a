"""The two evaluators that are compared: ours, and real Nix."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FEATURES = ["--extra-experimental-features", "nix-command flakes"]


def ours():
    """The command that stands for `nix-instantiate`: NIPHAS, or the release build, with `instantiate`.

    NIPHAS may name a real `nix-instantiate`, to try a script with Nix against Nix.
    """
    niphas = pathlib.Path(os.environ.get("NIPHAS", ROOT / "target/release/niphas"))
    if not niphas.exists():
        sys.exit(f"{sys.argv[0]}: {niphas} is not there; run `cargo build --release -p niphas` or set NIPHAS")
    return [str(niphas)] if niphas.name == "nix-instantiate" else [str(niphas), "instantiate"]


def peer():
    """Real Nix's `nix-instantiate`, from the folder that NIPHAS_ORACLE names."""
    folder = os.environ.get("NIPHAS_ORACLE")
    if not folder:
        sys.exit(f"{sys.argv[0]}: NIPHAS_ORACLE must name the folder of Nix's programs (ci/oracle prints it)")
    return [str(pathlib.Path(folder) / "nix-instantiate")]


def node_programs():
    """The folder of what runs on a cluster: NIPHAS_NODE_PROGRAMS, or what ci/node-programs builds."""
    folder = os.environ.get("NIPHAS_NODE_PROGRAMS")
    if not folder:
        built = subprocess.run([ROOT / "ci/node-programs"], stdout=subprocess.PIPE, text=True, check=False)
        if built.returncode != 0:
            sys.exit(f"{sys.argv[0]}: ci/node-programs failed")
        folder = built.stdout.strip()
    return pathlib.Path(folder)


@contextlib.contextmanager
def temporary_store():
    """A store that is there when several Nix at once ask for it: its database is made by one of them alone."""
    with tempfile.TemporaryDirectory() as folder:
        expression = ["--eval", "--read-write-mode", "-E", 'builtins.toFile "first" ""']
        in_store = environment(NIX_REMOTE=f"local?root={folder}")
        subprocess.run([*peer(), *expression], env=in_store, stdout=subprocess.DEVNULL, check=True)
        yield folder


def known(script):
    """The names in SCRIPT.known: cases that are known not to pass."""
    lines = (ROOT / "ci" / f"{script}.known").read_text().splitlines()
    return {line.split()[0] for line in lines if line and not line.startswith("#")}


def _sources_folder():
    cache = os.environ.get("NIPHAS_CI_CACHE", pathlib.Path.home() / ".cache/niphas-ci")
    return pathlib.Path(os.environ.get("NIPHAS_SOURCES", pathlib.Path(cache) / "sources"))


def source(repository):
    """A checkout of a GitHub repository in the folder NIPHAS_SOURCES (default: below CI's cache), named owner+name."""
    checkout = _sources_folder() / repository.replace("/", "+")
    return checkout if checkout.is_dir() else None


def sources():
    """All checkouts."""
    return sorted(path for path in _sources_folder().glob("*+*") if path.is_dir())


def environment(**extra):
    """What both get: no store, no search path, no settings of the machine but those given here."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "NIX_REMOTE": "dummy://", "NIX_STORE_DIR": "/nix/store", "NIX_PATH": "", **extra}
