"""Reads pages of Markdown, as far as the checks of documents need it: blocks of code, headings, links."""

import dataclasses
import re

FENCE = re.compile(r"^( *)(`{3,})([^`]*)$")
HEADING = re.compile(r"^#{1,6} +(.*?) *#*$")
# [text](target), ![text](target), and what HTML in the page names.
LINK = re.compile(r"\]\(([^()\s]+)(?: \"[^\"]*\")?\)|\b(?:src|srcset|href)=\"([^\"]+)\"")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of code: `info` is what stands behind the backticks, `line` the number of its first line."""

    info: str
    line: int
    text: str

    @property
    def language(self):
        return (self.info.split() or [""])[0]

    @property
    def words(self):
        return self.info.split()[1:]


def parse(text):
    """The blocks of a page, and its other lines as (number, line)."""
    blocks, prose = [], []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        fence = FENCE.match(line)
        if not fence:
            prose.append((number, line))
            continue
        indent, end, body = fence[1], fence[2], []
        for _, inner in lines:
            if inner.strip() == end:
                break
            body.append(inner.removeprefix(indent))
        else:
            raise ValueError(f"line {number}: the block has no end")
        blocks.append(Block(fence[3].strip(), number + 1, "".join(f"{inner}\n" for inner in body)))
    return blocks, prose


def anchors(prose):
    """The fragments by which headings can be linked to, as GitHub makes them."""
    seen = {}
    found = set()
    for _, line in prose:
        if heading := HEADING.match(line):
            title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
            name = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
            count = seen[name] = seen.get(name, -1) + 1
            found.add(f"{name}-{count}" if count else name)
        found.update(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", line))
    return found


def links(prose):
    """What a page links to, as (line, target); not what stands in code."""
    for number, line in prose:
        if line.startswith("    "):
            continue
        for match in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            yield number, match[1] or match[2]
