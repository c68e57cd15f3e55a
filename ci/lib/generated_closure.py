"""Closures of generated store paths, as the stream that `nix-store --import` reads.

The same arguments give the same bytes. Contents compress about as well as those of packages do, and no two files are alike.
"""

import hashlib
import math
import random
import struct

_BASE32 = "0123456789abcdfghijklmnpqrsvwxyz"
_POOL = 8 << 20


def _string(data):
    return struct.pack("<Q", len(data)) + data + b"\0" * (-len(data) % 8)


def nar(tree):
    """The NAR of a tree: bytes are a file, a pair of bytes and True an executable one, a dict a directory, a str a symlink."""
    parts = [_string(b"nix-archive-1")]

    def node(item):
        parts.append(_string(b"("))
        parts.append(_string(b"type"))
        if isinstance(item, dict):
            parts.append(_string(b"directory"))
            for name in sorted(item):
                parts.extend(_string(part) for part in (b"entry", b"(", b"name", name, b"node"))
                node(item[name])
                parts.append(_string(b")"))
        elif isinstance(item, str):
            parts.extend(_string(part) for part in (b"symlink", b"target", item.encode()))
        else:
            contents, executable = item if isinstance(item, tuple) else (item, False)
            parts.append(_string(b"regular"))
            if executable:
                parts.extend((_string(b"executable"), _string(b"")))
            parts.extend((_string(b"contents"), _string(contents)))
        parts.append(_string(b")"))

    node(tree)
    return b"".join(parts)


class Closure:
    """`paths` store paths with `files` files and `size` bytes together; the first path needs all others, and `needs`, store paths of
    other closures."""

    def __init__(self, name, paths, files, size, needs=()):
        self.needs = sorted(needs)
        self.random = random.Random(name)
        words = [bytes(self.random.choices(b"abcdefghijklmnopqrstuvwxyz_", k=self.random.randint(2, 9))) for _ in range(4000)]
        phrases = [b" ".join(self.random.choices(words, k=4)) for _ in range(20_000)]
        text = b"\n".join(self.random.choices(phrases, k=_POOL // 26))
        codes = [self.random.randbytes(self.random.randint(2, 6)) + b"\0" * self.random.randint(0, 6) for _ in range(3000)]
        binary = b"".join(self.random.randbytes(1) + b"".join(self.random.choices(codes, k=2)) for _ in range(_POOL // 16))
        self.pools = [text, binary]
        self.names = [f"{self._hash(f'{name} {index}')}-{name}-{index}" for index in range(paths)]
        weights = [self.random.lognormvariate(0, 1) for _ in range(paths)]
        scale = files / sum(weights)
        self.file_counts = [max(1, round(weight * scale)) for weight in weights]
        # Sizes of files spread as they do in packages: most are small, a few are most of the bytes.
        mean = size / sum(self.file_counts)
        self.sigma = 1.5
        self.mu = math.log(mean) - self.sigma**2 / 2

    @staticmethod
    def _hash(text):
        digest = int.from_bytes(hashlib.sha256(text.encode()).digest()[:20])
        return "".join(_BASE32[digest >> 5 * place & 31] for place in range(32))

    @property
    def root(self):
        return f"/nix/store/{self.names[0]}"

    def references(self, index):
        children = range(3 * index + 1, min(3 * index + 4, len(self.names)))
        others = {self.random.randrange(index + 1, len(self.names)) for _ in range(2)} if index + 1 < len(self.names) else set()
        return sorted({*children, *others})

    def _contents(self, number):
        length = max(0, min(int(self.random.lognormvariate(self.mu, self.sigma)), 4 << 20))
        pool = self.pools[number % 2]
        start = self.random.randrange(len(pool) // 2)
        header = b"%d %d\n" % (number, self.random.getrandbits(64))
        return (header + pool[start : start + length])[: max(length, len(header))]

    def write(self, out):
        """Writes the stream, what others need first."""
        references = [self.references(index) for index in range(len(self.names))]
        for index in reversed(range(len(self.names))):
            tree = {b"bin": {}, b"share": {}}
            for number in range(self.file_counts[index]):
                folder = tree[b"share"].setdefault(b"part-%d" % (number // 50), {})
                folder[b"file-%d.txt" % number] = self._contents(number)
            tree[b"bin"][b"tool"] = (b"#!/bin/sh\n# %d\nexec true\n" % index, True)
            tree[b"bin"][b"alias"] = "tool"
            out.write(struct.pack("<Q", 1))
            out.write(nar(tree))
            path = f"/nix/store/{self.names[index]}".encode()
            needed = [f"/nix/store/{self.names[other]}".encode() for other in references[index]]
            needed += [path.encode() for path in self.needs if index == 0]
            out.write(struct.pack("<Q", 0x4558494E) + _string(path) + struct.pack("<Q", len(needed)))
            for other in needed:
                out.write(_string(other))
            out.write(_string(b"") + struct.pack("<Q", 0))
        out.write(struct.pack("<Q", 0))
