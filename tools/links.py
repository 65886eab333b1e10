"""Collect the addresses in the prose: ``python -m tools.links``. Standard library only.

Addresses are taken from the Markdown files and from the text cells of the committed notebooks. One
inside this repository is looked up among its files. The others are written to ``build/links``, a
text file for each page, and checked by lychee in the weekly workflow.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.lessons import ROOT, repository

URL = re.compile(r"https?://[^\s<>\"'`\\{}|^\[\]]+")
# These hosts answer programs with 403 or 429 even where the page exists, so they are not checked.
BOT_BLOCKING = {
    "dl.acm.org",
    "doi.org",
    "medium.com",
    "openai.com",
    "stackoverflow.com",
    "towardsdatascience.com",
    "www.geeksforgeeks.org",
    "www.kaggle.com",
    "www.reddit.com",
    "www.researchgate.net",
    "www.sciencedirect.com",
}
RESERVED = re.compile(
    r"(?:^|\.)(?:example|invalid|test|localhost|example\.(?:com|net|org))$|^127\.|^\[::1\]$"
)


@dataclass(frozen=True)
class Answer:
    """``state`` is "alive" or "dead"."""

    url: str
    state: str
    why: str


def addresses(text: str) -> set[str]:
    """The web addresses in a Markdown text, without the punctuation that follows them."""
    found = set()
    for url in URL.findall(html.unescape(text)):
        url = url.rstrip(".,;:!?*_")
        while url.endswith(")") and url.count(")") > url.count("("):
            url = url[:-1].rstrip(".,;:!?*_")
        found.add(url)
    return {url for url in found if not RESERVED.search(urlsplit(url).hostname or "localhost")}


def prose_of(file: Path) -> str:
    """A Markdown file's text, or that of a notebook's text cells."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return text
    return "\n".join(
        "".join(cell["source"])
        for cell in json.loads(text)["cells"]
        if cell["cell_type"] == "markdown"
    )


def collect() -> dict[str, list[str]]:
    """Address -> the tracked files that name it."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.cff", "notebooks/*.ipynb"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    found: dict[str, list[str]] = {}
    for name in listed:
        if (ROOT / name).is_file():
            for url in addresses(prose_of(ROOT / name)):
                found.setdefault(url, []).append(name)
    return dict(sorted(found.items()))


def internal_answer(url: str) -> Answer | None:
    """The answer for an address inside this repository, which may not be published yet; None for any other."""
    home = repository()
    parts = urlsplit(url)
    path = (
        parts.path.removeprefix("/github")
        if parts.hostname == "colab.research.google.com"
        else parts.path
    )
    if (
        parts.hostname not in ("github.com", "colab.research.google.com")
        or f"{path}/".find(f"/{home.name}/") != 0
    ):
        return None
    inside = re.fullmatch(
        rf"/{re.escape(home.name)}/(?:blob|tree|raw)/{re.escape(home.branch)}/(.+)", path
    )
    if inside and not (ROOT / unquote(inside[1])).exists():
        return Answer(url, "dead", "no such file in this repository")
    return Answer(url, "alive", "a part of this repository")


def write_lists(found: dict[str, list[str]], folder: Path) -> int:
    """Write a file for each page with its addresses for lychee; return the number of addresses."""
    shutil.rmtree(folder, ignore_errors=True)
    lists: dict[str, list[str]] = {}
    asked = [
        u for u in found if internal_answer(u) is None and urlsplit(u).hostname not in BOT_BLOCKING
    ]
    for url in asked:
        for page in found[url]:
            lists.setdefault(page, []).append(url)
    for page, urls in lists.items():
        file = folder / f"{page}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(urls) + "\n", encoding="utf-8")
    return len(asked)


def main() -> None:
    found = collect()
    dead = [a for url in found if (a := internal_answer(url)) and a.state == "dead"]
    for answer in dead:
        print(f"dead: {answer.url} ({answer.why}) in {', '.join(found[answer.url])}")
    asked = write_lists(found, ROOT / "build/links")
    print(f"{len(found)} addresses, {len(dead)} dead here; {asked} others to check in build/links")
    raise SystemExit(bool(dead))


if __name__ == "__main__":
    main()
