"""Looks for secrets where none may be: in output, logs, caches, commits.

A secret of a test is a marker, a word that stands nowhere else. Files are read as they are, and, where they are one zlib stream
(the objects of Git), unpacked; packs of Git are unpacked by Git.

    markers.py SECRET PLACE ...      fails if a line of the file SECRET, or what follows a `:` in it, stands in a place
"""

import base64
import pathlib
import subprocess
import sys
import urllib.parse
import zlib

_MOST = 64 << 20


def forms(marker):
    """What a marker looks like in a URL and in a header."""
    return {
        marker.encode(),
        urllib.parse.quote(marker, safe="").encode(),
        # A login is encoded together with the user's name, so its start falls on any of three places.
        *(base64.b64encode(b" " * shift + marker.encode())[4 if shift else 0 : -4] for shift in range(3)),
    }


def _texts(place):
    """The named texts in a place: bytes or a string, a file, or a folder with all below it."""
    if isinstance(place, str):
        yield "text", place.encode()
    elif isinstance(place, bytes):
        yield "text", place
    elif place.is_file() and not place.is_symlink():
        yield str(place), str(place).encode()
        with open(place, "rb") as file:
            data = file.read(_MOST)
        yield str(place), data
        try:
            yield f"{place} (unpacked)", zlib.decompressobj().decompress(data, _MOST)
        except zlib.error:
            pass
        if place.suffix == ".pack":
            yield f"{place} (unpacked)", _unpacked(place)
    elif place.is_dir() and not place.is_symlink():
        for below in sorted(place.iterdir()):
            yield from _texts(below)


def _unpacked(pack):
    """The contents of a pack's objects."""
    repository = pack.parents[2]
    command = ["git", "-c", "safe.directory=*", f"--git-dir={repository}", "cat-file", "--batch", "--batch-all-objects"]
    return subprocess.run(command, capture_output=True, check=False).stdout[:_MOST]


def found(markers, places):
    """The places in which a marker stands, as (marker, place) pairs. A marker is a string, or (name, string)."""
    hits = []
    for place in places:
        for where, text in _texts(pathlib.Path(place) if isinstance(place, pathlib.PurePath) else place):
            hits += [(marker, where) for marker in markers if any(form and form in text for form in forms(marker))]
    return hits


def main():
    lines = pathlib.Path(sys.argv[1]).read_text().split()
    hits = found([line.split(":", 1)[-1] for line in lines], map(pathlib.Path, sys.argv[2:]))
    for _, where in hits:
        print(f"a secret of {sys.argv[1]} stands in {where}")
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main())
