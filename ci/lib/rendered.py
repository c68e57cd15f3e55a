"""What `niphas render` commits for workloads of every kind (ci/crd.d) and for the example."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NIPHAS = os.environ.get("NIPHAS", ROOT / "target/release/niphas")
HELLO = ROOT / "examples/hello"
SHOP = f"git+file://{ROOT}?dir=examples/shop"
NAMESPACES = ["everything", "hello", "hello-staging"]


def niphas(*arguments):
    done = subprocess.run([NIPHAS, *map(str, arguments)], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"FAILED: niphas {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def render(folder, *options, flakes=(ROOT / "ci/crd.d", HELLO)):
    """Renders into a new repository in a folder; gives the folder of the files."""
    for flake in flakes:
        niphas(
            "render", flake, "--to", folder / "bare", "--init", "--cache", f"file://{HELLO}/cache", "--key-file",
            HELLO / "cache-demo-key.public", "--author", "CI <ci@example.org>", *options,
        )  # fmt: skip
    subprocess.run(["git", "clone", "--quiet", folder / "bare", folder / "files"], check=True)
    return folder / "files/deploy"
