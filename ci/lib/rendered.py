"""What `niphas render` commits for workloads of every kind (ci/crd.d) and for the example."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NIPHAS = os.environ.get("NIPHAS", ROOT / "target/release/niphas")
NAMESPACES = ["everything", "hello", "hello-staging"]


def niphas(*arguments):
    done = subprocess.run([NIPHAS, *map(str, arguments)], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"FAILED: niphas {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def render(folder, *options):
    """Renders into a new repository in a folder; gives the folder of the files."""
    hello = ROOT / "examples/hello"
    for flake in (ROOT / "ci/crd.d", hello):
        niphas(
            "render", flake, "--to", folder / "bare", "--init", "--cache", f"file://{hello}/cache", "--key-file",
            hello / "cache-demo-key.public", "--author", "CI <ci@example.org>", *options,
        )  # fmt: skip
    subprocess.run(["git", "clone", "--quiet", folder / "bare", folder / "files"], check=True)
    return folder / "files/deploy"
