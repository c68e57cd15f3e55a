"""Archives that flakes are fetched as."""

import bz2
import gzip
import lzma
import os
import struct
import tarfile
import zlib

import caches
import command
import sources
from suite import attack, held


def unpacked(work, name, data, **options):
    file = work / f"{name}.tar"
    file.write_bytes(data)
    return command.evaluate(work, f"tarball+file://{file}#x", **options)


def refused(done, what):
    held(not done.crashed, f"{what}: it crashed with {done.code}: {done.last}")
    held(done.code is not None, f"{what}: it was not over after its time")
    held(done.code != 0, f"{what}: it was taken")


def hole(size):
    """A tar archive whose one file is a hole, as GNU tar writes it."""
    sparse = b"%011o\0%011o\0" % (size if size < 8**11 else 0, 0)
    if size >= 8**11:
        sparse = (b"\x80" + size.to_bytes(11)) + b"%011o\0" % 0
    extra = sparse + b"\0" * (4 * 24 - len(sparse)) + b"\0" + (b"\x80" + size.to_bytes(11))
    return sources.tar_header(b"top/hole", 0, b"S", extra) + b"\0" * 1024


@attack("The largest size of an archive counts what it writes, holes included.")
def a_hole_in_an_archive_does_not_fill_the_disk(work):
    done = unpacked(work, "hole", gzip.compress(hole(40 << 30)))
    held(b"File too large" not in done.stderr and done.code != -25, "more than 1 GiB of zeros was written for an archive of 200 bytes")
    refused(done, "a hole of 40 GiB")


@attack("The largest size of an archive counts what it writes, holes included.")
def a_hole_in_extended_headers_does_not_fill_the_disk(work):
    size = 40 << 30

    def record(name, value):
        length = len(f" {name}={value}\n")
        total = length + len(str(length + len(str(length))))
        return f"{total} {name}={value}\n".encode()

    records = record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "top/hole") + record("GNU.sparse.realsize", str(size))
    entry = sources.tar_header(b"top/x", len(records), b"x") + sources.padded(records)
    contents = sources.padded(f"1\n{size}\n0\n".encode())
    done = unpacked(work, "pax", gzip.compress(entry + sources.tar_header(b"top/hole", len(contents), b"0") + contents + b"\0" * 1024))
    held(b"File too large" not in done.stderr and done.code != -25, "more than 1 GiB of zeros was written")
    held(done.code is not None and not done.crashed, f"it ended with {done.code}: {done.last}")


@attack("Decompressing an archive takes bounded memory.")
def an_xz_archive_takes_bounded_memory(work):
    size = 640 << 20
    compressor = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}])
    out = bytearray(compressor.compress(sources.tar_header(b"top/zeros", size)))
    for _ in range(size >> 20):
        out += compressor.compress(b"\0" * (1 << 20))
    out += compressor.compress(b"\0" * 1024) + compressor.flush()
    # The header of the block: size, flags, LZMA2's id 0x21, size of its properties, the dictionary's size, padding, CRC32.
    held(out[14] == 0x21, "this xz writes another block header")
    out[16] = 35  # 768 MiB, though the data needs no more than 1 MiB
    end = 12 + (out[12] + 1) * 4
    out[end - 4 : end] = struct.pack("<I", zlib.crc32(out[12 : end - 4]))
    (work / "xz.tar").write_bytes(out)
    done = command.evaluate(work, f"tarball+file://{work}/xz.tar#x")
    held(not done.crashed and done.code is not None, f"it ended with {done.code}: {done.last}")
    held(done.memory < 400, f"it held {done.memory:.0f} MiB for a dictionary of 768 MiB")


@attack("Decompressing an archive takes bounded memory.")
def a_zstd_archive_takes_bounded_memory(work):
    done = unpacked(work, "zstd", caches.zstd_of_zeros(2 << 30, window_log=31))
    refused(done, "a window of 2 GiB")
    held(done.memory < 512, f"it held {done.memory:.0f} MiB")


@attack("An archive is a tree of its own: no entry is written through another, or outside.")
def entries_of_an_archive_lead_nowhere_else(work):
    outside = work / "outside"
    outside.mkdir()
    (outside / "kept").write_text("mine")
    cases = {
        "a file through a link": [("top/l", tarfile.SYMTYPE, str(outside), b""), ("top/l/owned", tarfile.REGTYPE, "", b"x")],
        "a file over a link": [("top/l", tarfile.SYMTYPE, str(outside / "owned"), b""), ("top/l", tarfile.REGTYPE, "", b"x")],
        "a hard link outside": [("top/h", tarfile.LNKTYPE, str(outside / "kept"), b""), ("top/h", tarfile.REGTYPE, "", b"x")],
        "a hard link upwards": [("top/h", tarfile.LNKTYPE, "../outside/kept", b"")],
        "an absolute name": [(str(outside / "owned"), tarfile.REGTYPE, "", b"x")],
        "a name upwards": [("top/../../../outside/owned", tarfile.REGTYPE, "", b"x"), ("../outside/owned", tarfile.REGTYPE, "", b"x")],
        "a folder over a link": [("top/l", tarfile.SYMTYPE, str(outside), b""), ("top/l", tarfile.DIRTYPE, "", b""), ("top/l/owned", tarfile.REGTYPE, "", b"x")],
    }
    for number, (what, entries) in enumerate(cases.items()):
        done = unpacked(work, f"links-{number}", sources.tar(*entries))
        held(os.listdir(outside) == ["kept"] and (outside / "kept").read_text() == "mine", f"{what}: something was written outside")
        held(done.code is not None and not done.crashed, f"{what}: it ended with {done.code}: {done.last}")
    for link in work.glob("home/.cache/niphas/**/*"):
        held(not link.is_file() or link.is_symlink() or link.stat().st_nlink == 1 or "outside" not in str(link), "a hard link into the cache")


@attack("An archive brings files, folders and links, and nothing else.")
def devices_and_pipes_in_an_archive_are_refused(work):
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        refused(unpacked(work, f"kind-{kind.decode()}", sources.tar(("top/dev", kind, "", b""))), f"kind {kind}")


@attack("Names and headers of an archive take bounded memory.")
def names_of_gigabytes_in_an_archive_are_refused(work):
    size = 1 << 30
    for kind in (b"L", b"K", b"x"):
        out = work / f"long-{kind.decode()}.tar"
        with gzip.open(out, "wb", compresslevel=1) as file:
            file.write(sources.tar_header(b"././@LongLink", size, kind))
            for _ in range(size >> 20):
                file.write(b"a" * (1 << 20))
            file.write(sources.tar_header(b"top/x", 0) + b"\0" * 1024)
        done = command.evaluate(work, f"tarball+file://{out}#x", seconds=25)
        held(done.code is not None and not done.crashed, f"kind {kind}: it ended with {done.code}: {done.last}")
        held(done.memory < 512, f"kind {kind}: it held {done.memory:.0f} MiB for one name")


@attack("The number of entries of an archive is bounded.", limit=60)
def an_archive_of_millions_of_entries_takes_bounded_memory(work):
    out = work / "many.tar"
    with gzip.open(out, "wb", compresslevel=1) as file:
        for start in range(0, 4_500_000, 10_000):
            # One header for all: of an entry that comes again and again the last one counts.
            file.write(sources.tar_header(b"top/%07d" % start, 0, b"5") * 10_000)
    done = command.evaluate(work, f"tarball+file://{out}#x", seconds=50)
    held(done.code is not None and not done.crashed, f"it ended with {done.code}: {done.last}")
    held(done.code != 0, "four million entries were taken")


@attack("What is not a whole archive is an error, not a crash.")
def damaged_archives_are_errors(work):
    whole = sources.tar(("top/a", tarfile.REGTYPE, "", b"x" * 3000))
    cases = {
        "cut": whole[:1500],
        "size": sources.tar_header(b"top/a", 1 << 60) + b"x" * 512,
        "negative": sources.tar_header(b"top/a", 0)[:124] + b"\xff" * 12 + sources.tar_header(b"top/a", 0)[136:],
        "gzip-cut": gzip.compress(whole)[:40],
        "bzip2-junk": b"BZh9" + b"\xff" * 500,
        "xz-junk": b"\xfd7zXZ\0" + b"\xff" * 500,
        "zstd-junk": b"\x28\xb5\x2f\xfd" + b"\xff" * 500,
        "deep": sources.tar(("top/" + "d/" * 20_000 + "x", tarfile.REGTYPE, "", b"")),
        "empty": b"",
        "bzip2-zeros": bz2.compress(b"\0" * (64 << 20)),
    }
    for what, data in cases.items():
        refused(unpacked(work, what, data), what)
