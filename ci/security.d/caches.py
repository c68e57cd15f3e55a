"""Binary caches by hand: keys, NARs, narinfos, and caches that lie."""

import base64
import ctypes
import ctypes.util
import functools
import gzip
import hashlib
import lzma
import pathlib
import struct

import csi

ED25519 = 1087


@functools.cache
def crypto():
    library = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
    for name in ("EVP_PKEY_new_raw_private_key", "EVP_MD_CTX_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.EVP_PKEY_new_raw_private_key.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.EVP_PKEY_get_raw_public_key.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t)]
    library.EVP_DigestSignInit.argtypes = [ctypes.c_void_p] * 5
    library.EVP_DigestSign.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t), ctypes.c_char_p, ctypes.c_size_t]
    library.EVP_MD_CTX_free.argtypes = [ctypes.c_void_p]
    return library


class Key:
    """An Ed25519 key, as Nix names and prints them."""

    def __init__(self, name):
        self.name = name
        seed = hashlib.sha256(f"niphas-security {name}".encode()).digest()
        self.pkey = crypto().EVP_PKEY_new_raw_private_key(ED25519, None, seed, 32)
        public, length = ctypes.create_string_buffer(32), ctypes.c_size_t(32)
        crypto().EVP_PKEY_get_raw_public_key(self.pkey, public, ctypes.byref(length))
        self.public = f"{name}:{base64.b64encode(public.raw).decode()}"

    def sign(self, text):
        signature, length = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        context = crypto().EVP_MD_CTX_new()
        crypto().EVP_DigestSignInit(context, None, None, None, self.pkey)
        crypto().EVP_DigestSign(context, signature, ctypes.byref(length), text, len(text))
        crypto().EVP_MD_CTX_free(context)
        return f"{self.name}:{base64.b64encode(signature.raw).decode()}"


def token(data):
    """A string of a NAR."""
    return struct.pack("<Q", len(data)) + data + b"\0" * (-len(data) % 8)


def tokens(*parts):
    return b"".join(token(part if isinstance(part, bytes) else part.encode()) for part in parts)


def regular(contents, executable=False):
    return tokens("(", "type", "regular", *(("executable", "") if executable else ()), "contents", contents, ")")


def symlink(target):
    return tokens("(", "type", "symlink", "target", target, ")")


def directory(*entries):
    """Entries in the order given, each a name and the bytes of its node."""
    return tokens("(", "type", "directory") + b"".join(tokens("entry", "(", "name", name, "node") + node + token(b")") for name, node in entries) + token(b")")


def archive(node):
    return tokens("nix-archive-1") + node


def program(text):
    """A store path's NAR with an executable and a text."""
    return archive(directory(("bin", directory(("prog", regular(b"#!/bin/sh\necho shared\n", True)))), ("text", regular(text.encode()))))


def hash_part(text):
    return csi.nix_base32(hashlib.sha256(text.encode()).digest()[:20])


def content_addressed(name, nar):
    """The base name of a path that is made from its contents, without references, and its content address."""
    inner = hashlib.sha256(nar).hexdigest()
    whole = hashlib.sha256(f"source:sha256:{inner}:/nix/store:{name}".encode()).digest()
    folded = bytearray(20)
    for index, byte in enumerate(whole):
        folded[index % 20] ^= byte
    return f"{csi.nix_base32(bytes(folded))}-{name}", f"fixed:r:sha256:{nar_hash(nar)}"


@functools.lru_cache(maxsize=16)
def nar_hash(nar):
    return csi.nix_base32(hashlib.sha256(nar).digest())


def zstd_of_zeros(size, window_log=None, fill=0):
    """A zstd frame of `size` equal bytes, in blocks of one byte repeated."""
    most = 128 << 10
    if window_log is None:
        # One segment, the size in 8 bytes.
        frame = b"\x28\xb5\x2f\xfd" + bytes([0b1110_0000]) + struct.pack("<Q", size)
    else:
        frame = b"\x28\xb5\x2f\xfd" + bytes([0]) + bytes([(window_log - 10) << 3])
    blocks = []
    if window_log is None and size > 8 << 20:
        # A segment of the whole size would be a window of the whole size.
        frame = b"\x28\xb5\x2f\xfd" + bytes([0]) + bytes([(20 - 10) << 3])
    whole, rest = divmod(size, most)
    for index in range(whole + bool(rest)):
        length = most if index < whole else rest
        last = index == whole + bool(rest) - 1
        blocks.append(struct.pack("<I", last | 1 << 1 | length << 3)[:3] + bytes([fill]))
    return frame + b"".join(blocks)


COMPRESS = {
    "none": lambda nar: nar,
    "gzip": lambda nar: gzip.compress(nar, 1),
    "xz": lambda nar: lzma.compress(nar, preset=0),
}


class HostileCache:
    """A folder with what a cache has."""

    def __init__(self, folder, *keys):
        self.folder = pathlib.Path(folder)
        (self.folder / "nar").mkdir(parents=True)
        (self.folder / "nix-cache-info").write_text("StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n")
        self.keys = keys

    def add(self, name, nar, references=(), keys=None, compression="none", body=None, **fields):
        """Puts a path in; gives its base name. `fields` replace those of the narinfo; one that is None is left out, and `Sig` is
        a list. `body` is what is served as the compressed NAR; with a `URL` of its own none is written."""
        base = name if len(name) > 33 and name[32] == "-" else f"{hash_part(name)}-{name}"
        url = f"nar/{base[:32]}.nar"
        lines = {
            "StorePath": f"/nix/store/{base}",
            "URL": url,
            "Compression": compression,
            "NarHash": f"sha256:{nar_hash(nar)}" if isinstance(nar, bytes) else nar[0],
            "NarSize": len(nar) if isinstance(nar, bytes) else nar[1],
            "References": " ".join(sorted(references)),
        }
        lines.update(fields)
        signatures = lines.pop("Sig", [])
        said = ",".join(f"/nix/store/{reference}" for reference in sorted(set(str(lines["References"] or "").split())))
        fingerprint = f"1;{lines['StorePath']};{lines['NarHash']};{lines['NarSize']};{said}".encode()
        signatures = [*signatures, *(key.sign(fingerprint) for key in (self.keys if keys is None else keys))]
        text = "".join(f"{field}: {value}\n" for field, value in lines.items() if value is not None)
        text += "".join(f"Sig: {signature}\n" for signature in signatures)
        (self.folder / f"{base[:32]}.narinfo").write_text(text)
        # One that stands elsewhere is there already.
        if "URL" not in fields and (body is not None or isinstance(nar, bytes)):
            (self.folder / url).write_bytes(COMPRESS[compression](nar) if body is None else body)
        return base

    def info(self, base):
        return self.folder / f"{base[:32]}.narinfo"

    def closure(self, root):
        return csi.Closure(self.folder, root)


def junk_signature(name, number):
    return f"{name}:{base64.b64encode(hashlib.sha512(f'{name} {number}'.encode()).digest()).decode()}"
