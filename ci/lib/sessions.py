"""Many expressions in one process: through the repl of either evaluator, which goes on after an error."""

import os
import re
import subprocess

import tools

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def ours(lines, **options):
    return run([tools.ours()[0], "repl"], lines, **options)


def theirs(lines, **options):
    return run([os.environ["NIPHAS_ORACLE"] + "/nix", *tools.FEATURES, "repl"], lines, echoes=True, **options)


def run(command, lines, first=(), seconds=300, echoes=False, **environment):
    """What each line gives: ("value", text), ("error", message), or ("ended", how) once the process is gone.

    `first` are lines that print nothing. A program that `echoes` prints each line before what it gives, cut short.
    """
    text = [*first]
    for index, line in enumerate(lines):
        text += [line, f'"@@{index}@@"']
    environment = tools.environment(NO_COLOR="1", **environment)
    try:
        done = subprocess.run(
            command, input=("\n".join(text) + "\n").encode(), env=environment, capture_output=True, timeout=seconds
        )
        stdout, stderr, end = done.stdout, done.stderr, f"exit {done.returncode}"
    except subprocess.TimeoutExpired as error:
        stdout, stderr, end = error.stdout or b"", error.stderr or b"", f"{seconds} s"
    # Decoded here, for a carriage return in an echo ends no line.
    stdout, stderr = stdout.decode(errors="replace"), stderr.decode(errors="replace")
    errors = _messages(COLOUR.sub("", stderr))
    results, shown = [], []
    for line in COLOUR.sub("", stdout).split("\n"):
        marker = f'"@@{len(results)}@@"'
        if line == f"nix-repl> {marker}" and echoes:
            continue
        if line == marker:
            # A blank line and the echo; before the first line there are those of others.
            if echoes:
                shown = shown[2:] if results else shown[2 * len(first) + 1 :]
            value = "\n".join(shown).strip()
            # Nix may have opened a set or list when it finds that what is in it fails.
            failed = value in ("", "{", "[")
            results.append(("error", next(errors, "no message")) if failed else ("value", value))
            shown = []
        else:
            shown.append(line)
    missing = len(lines) - len(results)
    return results + [("ended", f"{end}: {stderr[-300:]}")] * missing


def _messages(stderr):
    """The final message of each error."""
    block = []
    for line in [*stderr.splitlines(), "error:"]:
        if line.startswith("error:"):
            if block:
                yield _final(block)
            block = [line]
        elif block and not line.startswith(("trace: ", "warning: ", "evaluation warning", "unpacking '")):
            block.append(line)


def _final(block):
    start = max(index for index, line in enumerate(block) if line.lstrip().startswith("error:"))
    kept = [block[start].lstrip().removeprefix("error:")]
    for line in block[start + 1 :]:
        if not line.strip() or re.match(r"\s+at («|/)", line):
            break
        kept.append(line)
    return " ".join(" ".join(kept).split())
