#!/usr/bin/env python3
"""Tries whatever changes a folder, and prints as JSON what came of each: the number of the error, or null if it was done.

    writes.py FOLDER [FILE]

FILE (default: the first in FOLDER) is a file in FOLDER that is there. It runs in containers too, so it imports nothing of ours.
"""

import ctypes
import errno
import json
import os
import sys


def first_file(folder):
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(where, name)
            if not os.path.islink(path):
                return path
    return sys.exit(f"{folder} has no file")


def opened(path, flags):
    os.close(os.open(path, flags, 0o600))


def attempts(folder, file):
    new = os.path.join(folder, "store", "new")
    return {
        "a new file": lambda: opened(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL),
        "a file without a name": lambda: opened(os.path.join(folder, "store"), os.O_WRONLY | os.O_TMPFILE),
        "a new folder": lambda: os.mkdir(new),
        "a symlink": lambda: os.symlink("/etc/passwd", new),
        "a FIFO": lambda: os.mkfifo(new),
        "a hard link": lambda: os.link(file, new),
        "a rename": lambda: os.rename(file, file + ".new"),
        "contents": lambda: opened(file, os.O_WRONLY),
        "truncation": lambda: os.truncate(file, 0),
        "times": lambda: os.utime(file, (5, 5)),
        "a mode": lambda: os.chmod(file, 0o777),
        "an owner": lambda: os.chown(file, 1, 1),
        "an attribute": lambda: os.setxattr(file, "user.niphas", b"1"),
        "removal": lambda: os.unlink(file),
        "the root": lambda: os.unlink(os.path.join(folder, "root")),
    }


def tried(folder, file=None):
    results = {}
    for name, attempt in attempts(folder, file or first_file(folder)).items():
        try:
            attempt()
            results[name] = None
        except OSError as error:
            results[name] = error.errno
    return results


MS_REMOUNT, MS_BIND = 32, 4096


def make_writable(mount):
    """Clears the read-only flag of a mount, and no other's, as runc 1.2 and later do."""
    if ctypes.CDLL(None, use_errno=True).mount(None, os.fsencode(mount), None, MS_REMOUNT | MS_BIND, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, errno.errorcode[number], str(mount))


if __name__ == "__main__":
    print(json.dumps(tried(*sys.argv[1:])))
