"""A builder: $files files of about $size bytes in $out, the same for the same $seed; they compress to about a third."""

import os
import random

out, files, size = os.environ["out"], int(os.environ["files"]), int(os.environ["size"])
draw = random.Random(int(os.environ["seed"]))
words = [draw.randbytes(draw.randint(2, 9)).hex()[: draw.randint(3, 12)].encode() + b" " for _ in range(3000)]
block = b"".join(draw.choices(words, k=200_000))

for number in range(files):
    folder = f"{out}/{number % 12:02}/lib"
    os.makedirs(folder, exist_ok=True)
    length = min(int(draw.lognormvariate(0, 1.1) * size * 0.55), 60 * size)
    start = draw.randrange(len(block))
    with open(f"{folder}/{number}", "wb") as file:
        while length > 0:
            piece = block[start : start + min(length, 4096 * draw.randint(1, 8))]
            file.write(piece)
            length -= len(piece)
            start = draw.randrange(len(block))
            # A little that is in no other file, as in machine code.
            noise = draw.randbytes(min(600, max(length, 0)))
            file.write(noise)
            length -= len(noise)
    if number % 9 == 0:
        os.chmod(f"{folder}/{number}", 0o755)
os.symlink("00/lib", f"{out}/link")
with open(f"{out}/references", "w") as file:
    file.write(os.environ["references"])
