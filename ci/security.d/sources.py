"""What hostile authors make of flakes: Git objects that `git` would not write, and tar archives."""

import hashlib
import io
import pathlib
import subprocess
import tarfile
import zlib

FLAKE = b"{ outputs = _: { x = 1; }; }\n"
WHO = b"a <a@example.org> 1700000000 +0000"


class Repository:
    """A bare repository whose objects are written byte by byte."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.folder], check=True)

    def put(self, kind, data):
        """Writes an object; gives its name."""
        whole = f"{kind} {len(data)}\0".encode() + data
        name = hashlib.sha1(whole).hexdigest()
        file = self.folder / "objects" / name[:2] / name[2:]
        file.parent.mkdir(exist_ok=True)
        if not file.exists():
            file.write_bytes(zlib.compress(whole, 1))
        return name

    def blob(self, data):
        return self.put("blob", data)

    def tree(self, *entries):
        """Entries are (mode, name, object), in the order given, whatever it is."""
        return self.put("tree", b"".join(mode.encode() + b" " + (name.encode() if isinstance(name, str) else name) + b"\0" + bytes.fromhex(target) for mode, name, target in entries))

    def commit(self, tree, branch="main"):
        name = self.put("commit", b"tree %s\nauthor %s\ncommitter %s\n\nx\n" % (tree.encode(), WHO, WHO))
        self.ref(f"refs/heads/{branch}", name)
        return name

    def ref(self, name, target):
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{target}\n")

    def flake(self, *entries, text=FLAKE):
        """Commits a flake with more entries in its tree, before and after `flake.nix` by name as they are given."""
        whole = [*entries, ("100644", "flake.nix", self.blob(text))]
        return self.commit(self.tree(*sorted(whole, key=lambda entry: entry[1] if isinstance(entry[1], bytes) else entry[1].encode())))

    @property
    def url(self):
        return f"git+file://{self.folder}?ref=main"


def tar(*entries):
    """A tar archive of (name, kind, link target, contents); with a flake in it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, link, contents in [("top/flake.nix", tarfile.REGTYPE, "", FLAKE), *entries]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mode = kind, link, len(contents), 0o755
            archive.addfile(info, io.BytesIO(contents))
    return out.getvalue()


def tar_header(name, size, kind=b"0", extra=b""):
    """A header by hand: of sizes that its contents do not have, or of kinds that Python does not write."""
    header = bytearray(512)
    header[: len(name)] = name
    header[100:108], header[108:116], header[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    header[124:136] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11)
    header[136:148], header[156:157] = b"00000000007\0", kind
    header[257:265] = b"ustar  \0" if kind in (b"S", b"L", b"K") else b"ustar\x0000"
    header[386 : 386 + len(extra)] = extra
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def padded(data):
    return data + b"\0" * (-len(data) % 512)
