"""The site's search index: Pagefind's, of sections rather than pages, so that a result opens the right place.

Tried on the queries of tests/test_site.py: Sphinx's own search lists pages, and sections only for a heading's own
words; Pagefind over whole pages found the page more often, but no section.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from pagefind.index import IndexConfig, PagefindIndex

NOT_INDEXED = "nav, .headerlink, .uses, .copybtn, summary, style, script, math"
LOWER_WEIGHT = ("notebooks/sources/", "data/", "INSTRUCTORS", "index.html")  # learners search most
SKIPPED = {"search.html", "genindex.html"}


@dataclass(frozen=True)
class Section:
    """One part of a page, from its heading to the next."""

    url: str
    title: str
    page: str
    prose: str
    lead: str
    code: str


def sections(file: Path, site: Path) -> list[Section]:
    article = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser").article
    for tag in article.select(NOT_INDEXED):
        tag.decompose()
    page, found = article.h1.get_text(" ", strip=True), []
    for section in article.find_all("section"):
        heading = section.find(["h1", "h2", "h3"], recursive=False)
        if heading is None:
            continue
        content = [c for c in section.children if isinstance(c, Tag) and c.name != "section"]
        code = [
            p.extract().get_text()
            for c in content
            for p in ([c] if c.name == "pre" else c.find_all("pre"))
        ]
        leads = [
            p.contents[0]
            for c in content
            for p in ([c] if c.name == "p" else c.find_all("p"))
            if p.contents
        ]
        lead = " ".join(
            b.get_text(" ") for b in leads if b.name == "strong"
        )  # headings in a paragraph
        alts = [i["alt"] for c in content for i in c.find_all("img")]
        prose = [c.get_text(" ", strip=True) for c in content if c is not heading] + alts
        url = file.relative_to(site).as_posix()
        found.append(
            Section(
                url if heading.name == "h1" else f"{url}#{section['id']}",
                heading.get_text(" ", strip=True),
                page,
                " ".join(prose),
                lead,
                " ".join(code),
            )
        )
    return found


def record(section: Section) -> str:
    weight = (
        0.2 if section.url.startswith(LOWER_WEIGHT) or section.title == "Further reading" else 1
    )
    return f"""<html lang="en"><body data-pagefind-body data-pagefind-weight="{weight}">
<h1 data-pagefind-weight="{10 * weight}">{escape(section.title)}</h1>
<p data-pagefind-meta="page" data-pagefind-ignore>{escape(section.page)}</p>
<p data-pagefind-weight="{10 * weight}">{escape(section.lead)}</p>
<p>{escape(section.prose)}</p><p data-pagefind-weight="{0.3 * weight}">{escape(section.code)}</p></body></html>"""


async def write(site: Path) -> int:
    config = IndexConfig(output_path=str(site / "pagefind"))
    count = 0
    async with PagefindIndex(config=config) as index:
        for file in sorted(site.rglob("*.html")):
            if file.name in SKIPPED or {"slides", "try"} & set(file.relative_to(site).parts):
                continue
            for section in sections(file, site):
                await index.add_html_file(content=record(section), url=section.url)
                count += 1
        await index.write_files()
    for file in (site / "pagefind").glob("pagefind-*ui.*"):
        file.unlink()  # the search page has its own few lines
    for name in ("pagefind-highlight.js", "wasm.unknown.pagefind"):
        (site / "pagefind" / name).unlink(missing_ok=True)
    return count


def index(site: Path) -> int:
    """Write ``pagefind/`` into the site; returns the number of sections."""
    return asyncio.run(write(site))
