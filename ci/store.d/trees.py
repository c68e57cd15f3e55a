"""A builder: makes the tree that its argument names at $out."""

import os
import random
import sys

out = os.fsencode(os.environ["out"])


def write(name, contents=b"", executable=False):
    path = os.path.join(out, name) if name else out
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        file.write(contents)
    if executable:
        os.chmod(path, 0o755)


def odd():
    some = random.Random(4)
    # Around the ends of blocks and pages.
    for size in (0, 1, 511, 512, 513, 1023, 1024, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1, 5_000_003):
        write(b"sizes/%d" % size, some.randbytes(size))
    for number in range(10_000):
        write(b"many/%d" % number, b"%d\n" % number)
    for number in range(200):
        write(b"long/%03d%s" % (number, b"n" * 252), b"%d" % (number % 7))
    # Every byte that a name may have, alone and between others; the first of these would come before `.`.
    for byte in set(range(1, 256)) - {ord("/")}:
        if byte != ord("."):
            write(b"bytes/%c" % byte, b"alone %d" % byte)
        write(b"bytes/x%cy" % byte, b"between %d" % byte)
    for name in (b"...", b"..x", b".x", b" ", b"a b", b"-", b"\xc3\xa4\xe2\x82\xac", b"\xff\xfe", b"new\nline", b"back\\slash", b"*"):
        write(b"names/" + name, name)
    write(b"run", b"#!/bin/sh\necho it runs\n", executable=True)
    write(b"empty")
    write(b"empty-executable", executable=True)
    os.makedirs(out + b"/empty-directory")
    # Nix goes no deeper than 64 folders.
    write(b"/".join([b"deep"] * 60 + [b"leaf"]), b"leaf")
    for number in range(3000):
        os.makedirs(out + b"/directories/%d" % number)
    for name, target in {
        b"self": out,
        b"relative": b"../sizes/1",
        b"dangling": b"/no/such/file",
        b"loop": b"loop",
        b"bytes": b"\xff\n \\ ",
        b"dot": b".",
        **{b"length-%d" % length: (b"t" * 99 + b"/") * 40 + b"t" * 95 if length == 4095 else b"t" * length for length in (1, 59, 60, 61, 448, 449, 480, 481, 511, 512, 513, 992, 993, 1024, 4095)},
    }.items():
        os.makedirs(out + b"/links", exist_ok=True)
        os.symlink(target, out + b"/links/" + name)
    # One contents under many names.
    for number in range(50):
        write(b"same/%d" % number, b"the same in all" * 1000)
    # Zeros at the start, in the middle, at the end, and nothing else.
    zeros = bytes(300_000)
    write(b"zeros/start", zeros + b"x")
    write(b"zeros/middle", b"x" + zeros + b"x")
    write(b"zeros/end", b"x" + zeros)
    write(b"zeros/all", zeros)


def sparse():
    os.makedirs(out)
    with open(out + b"/file", "xb") as file:
        file.write(b"start")
        file.seek((4 << 30) + 12345)
        file.write(b"end")


def library(version):
    some = random.Random(7)
    write(b"lib/liblarge.so", some.randbytes(20_000_000), executable=True)
    for number in range(100):
        write(b"share/table-%d" % number, some.randbytes(10_000))
    write(b"share/version", b"library %s\n" % version.encode())


match sys.argv[1:]:
    case ["odd"]:
        odd()
    case ["sparse"]:
        sparse()
    case ["library", version]:
        library(version)
    case ["file"]:
        write(b"", b"a store path that is a file\n")
    case ["executable"]:
        write(b"", b"#!/bin/sh\necho a store path that is a program\n", executable=True)
    case ["symlink"]:
        os.symlink(b"/nix/store", out)
