"""Look whether the addresses in the prose still answer: ``python -m tools.links``. Standard library only.

Addresses are taken from the Markdown files and from the text cells of the committed notebooks. Each is asked with HEAD,
then with GET, up to three times. An address inside this repository is looked up among the files instead.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.lessons import ROOT, repository

URL = re.compile(r"https?://[^\s<>\"'`\\{}|^\[\]]+")
# They answer programs with 403 or 429 however alive the page is. Reported, not fatal.
BOT_BLOCKING = {"dl.acm.org", "doi.org", "medium.com", "openai.com", "stackoverflow.com", "towardsdatascience.com",
                "www.geeksforgeeks.org", "www.kaggle.com", "www.reddit.com", "www.researchgate.net",
                "www.sciencedirect.com"}
RESERVED = re.compile(r"(?:^|\.)(?:example|invalid|test|localhost|example\.(?:com|net|org))$|^127\.|^\[::1\]$")
HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; link check of a course)", "Accept": "*/*"}
TRIES, TIMEOUT = 3, 20.0


@dataclass(frozen=True)
class Answer:
    """``state`` is "alive", "dead" or "blocked": a site known to refuse programs did so."""

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
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def collect() -> dict[str, list[str]]:
    """Address -> the tracked files that name it."""
    listed = subprocess.run(["git", "ls-files", "*.md", "*.cff", "notebooks/*.ipynb"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.splitlines()
    found: dict[str, list[str]] = {}
    for name in listed:
        if (ROOT / name).is_file():
            for url in addresses(prose_of(ROOT / name)):
                found.setdefault(url, []).append(name)
    return dict(sorted(found.items()))


def own(url: str) -> Answer | None:
    """The answer for an address inside this repository, which may not be published yet; None for any other."""
    home = repository()
    parts = urlsplit(url)
    path = parts.path.removeprefix("/github") if parts.hostname == "colab.research.google.com" else parts.path
    if parts.hostname not in ("github.com", "colab.research.google.com") or f"{path}/".find(f"/{home.name}/") != 0:
        return None
    inside = re.fullmatch(rf"/{re.escape(home.name)}/(?:blob|tree|raw)/{re.escape(home.branch)}/(.+)", path)
    if inside and not (ROOT / unquote(inside[1])).exists():
        return Answer(url, "dead", "no such file in this repository")
    return Answer(url, "alive", "a part of this repository")


def ask(url: str, method: str, timeout: float) -> tuple[int, str]:
    """HTTP status and what to say about it; status 0 where there was no answer."""
    try:
        request = urllib.request.Request(url, method=method, headers=HEADERS)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, str(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, f"{error.code} {error.reason}"
    except (OSError, HTTPException, ValueError) as error:
        return 0, str(getattr(error, "reason", "") or error) or type(error).__name__


def check(url: str, wait: float = 2.0, timeout: float = TIMEOUT, blocking: frozenset[str] | set[str] = BOT_BLOCKING) -> Answer:
    """Ask up to three times, waiting ``wait`` and then twice that between; what a server says for good is believed at once.

    A page that is gone (404, 410) is dead. A server in trouble (429, 5xx) or none at all is asked again.
    """
    why = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(wait * 2 ** (attempt - 1))
        status, why = ask(url, "HEAD", timeout)
        if not 200 <= status < 400 and status != 429:  # some servers know only GET
            status, why = ask(url, "GET", timeout)
        if 200 <= status < 400:
            return Answer(url, "alive", why)
        if status in (403, 429) and urlsplit(url).hostname in blocking:
            return Answer(url, "blocked", why)
        if 400 <= status < 500 and status not in (408, 425, 429):
            break
    return Answer(url, "dead", why)


def main() -> None:
    found = collect()
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(lambda url: own(url) or check(url.split("#")[0]), found))
    counts = {state: sum(a.state == state for a in answers) for state in ("alive", "blocked", "dead")}
    for (url, files), answer in zip(found.items(), answers, strict=True):
        if answer.state != "alive":
            print(f"{answer.state}: {url} ({answer.why}) in {', '.join(files)}")
    print(", ".join(f"{number} {state}" for state, number in counts.items()))
    raise SystemExit(counts["dead"] > 0)


if __name__ == "__main__":
    main()
