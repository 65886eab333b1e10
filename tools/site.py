"""The site: ``python -m tools.site`` gathers the pages from the repository and lets Sphinx write ``build/site/``.

Pages keep the repository's layout, so that a link between two of them is right on GitHub and on the site. A link to a file that
is no page leads to GitHub. Notebooks are taken as they are committed, executed; nothing is executed here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import nbformat

from tools.draw import PALE, Drawing
from tools.lessons import NOTEBOOKS, ROOT, Lesson, Repository, lessons, measured, repository

SITE = ROOT / "site"
SOURCE, OUT = ROOT / "build/site-source", ROOT / "build/site"
DEMO = ROOT / "build/browser"  # what `make browser` writes
NARROW_FIGURE = "first-figure-narrow.svg"
CODE = r"```.*?```|`[^`\n]*`"
LINK = re.compile(
    rf"{CODE}|(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<to>(?!\w+:|#)[^)\s#]+)(?P<at>#[^)\s]*)?\)",
    re.S,
)
HEADING_LINE = re.compile(r"^(#{1,3}) (.+)$")


def home() -> Repository:
    """The repository that the site belongs to: the workflow's own, else the one in pyproject.toml."""
    here = repository()
    return Repository(
        os.environ.get("SITE_REPOSITORY") or here.name, os.environ.get("SITE_BRANCH") or here.branch
    )


def pages() -> list[Path]:
    """Every file that becomes a page. Raises FileNotFoundError for a lesson without its notebook."""
    for lesson in lessons():
        if not lesson.notebook.is_file():
            raise FileNotFoundError(
                f"{lesson.source.relative_to(ROOT)} has no {lesson.notebook.relative_to(ROOT)}. "
                "Run `make notebooks`."
            )
    found = [NOTEBOOKS / name for name in ("README.md", "claims.md", "glossary.md")]
    found += [lesson.notebook for lesson in lessons()]
    found += [ROOT / "INSTRUCTORS.md", *instructor_pages()]
    found += sorted((ROOT / "data").rglob("README.md"))
    return found + [f for f in [ROOT / "assets/bench.md"] if f.is_file()]


def instructor_pages() -> list[Path]:
    files = [NOTEBOOKS / f"sources/instructor/{lesson.number}.md" for lesson in lessons()]
    return [f for f in files if f.is_file()]


def short(lesson: Lesson) -> str:
    """``03``; an appendix by its last word."""
    return lesson.number.removeprefix("appendix_")


# --- links ---


def relinked(text: str, page: Path, kept: set[Path], pictures: set[Path]) -> str:
    """The text with links that also work on the site; ``pictures`` gains those that it shows."""
    here = home()

    def new(found: re.Match) -> str:
        if found["to"] is None:
            return found[0]
        target = Path(os.path.normpath(page.parent / found["to"]))
        at = found["at"] or ""
        if found["image"] and target.is_file():
            pictures.add(target)
        elif target == ROOT / "README.md":
            to = os.path.relpath(ROOT / "index.md", page.parent)
            return f"[{found['text']}]({to}{at})"
        elif not found["image"] and target not in kept and target.exists():
            folder = here.files.replace("/blob/", "/tree/") if target.is_dir() else here.files
            return f"[{found['text']}]({folder}{target.relative_to(ROOT).as_posix()}{at})"
        return found[0]

    return LINK.sub(new, repository().moved_to(here, text))


def slug(title: str) -> str:
    """A heading's anchor, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"[*`]", "", title).strip().lower()).replace(" ", "-")


@dataclass(frozen=True)
class Place:
    """A section of a lesson."""

    lesson: Lesson
    title: str
    anchor: str

    @property
    def link(self) -> str:
        number = re.match(r"(\d+)\.", self.title)
        text = short(self.lesson) + (f" § {number[1]}" if number else "")
        return f"[{text}]({self.lesson.notebook.name}#{self.anchor})"


def uses_of_terms() -> dict[str, list[Place]]:
    """Anchor in the glossary -> the sections that link to it."""
    found: dict[str, list[Place]] = {}
    for lesson in lessons():
        seen: dict[str, int] = {}
        place = None
        for cell in nbformat.read(lesson.notebook, as_version=4).cells:
            for line in (
                re.sub(r"```.*?```", "", cell.source, flags=re.S).splitlines()
                if cell.cell_type == "markdown"
                else []
            ):
                if heading := HEADING_LINE.match(line):
                    anchor = slug(heading[2])
                    count = seen[anchor] = seen.get(anchor, -1) + 1
                    if len(heading[1]) <= 2:
                        place = Place(lesson, heading[2], f"{anchor}-{count}" if count else anchor)
                for term in re.findall(r"\]\(glossary\.md#([\w-]+)\)", line):
                    if place and place not in found.setdefault(term, []):
                        found[term].append(place)
    return found


def glossary(text: str) -> str:
    """Each term with the sections that link to it."""
    uses = uses_of_terms()
    parts = re.split(r"(?m)^(?=## )", text)
    for i, part in enumerate(parts[1:], start=1):
        places = uses.get(slug(part.splitlines()[0].removeprefix("## ")), [])
        if places:
            parts[i] = (
                f"{part.rstrip()}\n\n:::{{container}} uses\nIn the lessons: {', '.join(p.link for p in places)}\n:::\n\n"
            )
    return "".join(parts)


# --- lessons ---


def launch_links(notebook: Path) -> dict[str, str]:
    """Where a lesson can be run without installing anything."""
    here, path = home(), notebook.relative_to(ROOT).as_posix()
    on_github = here.files + path
    if here.is_gitlab:  # Colab, Kaggle and Codespaces open notebooks of GitHub alone
        address = urllib.parse.quote(here.url + ".git", safe="")
        binder = f"https://mybinder.org/v2/git/{address}/{here.branch}?urlpath=lab/tree/{path}"
        return {"Binder": binder, "GitLab": on_github}
    return {
        "Colab": here.colab(notebook),
        "Kaggle": f"https://www.kaggle.com/kernels/welcome?src={on_github}",
        "Binder": f"https://mybinder.org/v2/gh/{here.name}/{here.branch}?urlpath=lab/tree/{path}",
        "Codespaces": f"https://codespaces.new/{here.name}?ref={here.branch}",
        "GitHub": on_github,
    }


def launch_bar(notebook: Path) -> str:
    here = home()
    links = [f"[{name}]({url})" for name, url in launch_links(notebook).items()]
    return f"""<nav class="launch" aria-label="Run this lesson">

Run it: {" ".join(links)}

<details><summary>On your machine</summary>

```
git clone --depth 1 {here.url} && cd {here.folder}
make learn    # no make: python tools/launch.py learn
```

</details>
</nav>
"""


def lesson_page(lesson: Lesson, kept: set[Path], pictures: set[Path]) -> nbformat.NotebookNode:
    """The learner notebook, with the launch bar in its badge's place."""
    notebook = nbformat.read(lesson.notebook, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, lesson.notebook, kept, pictures)
    first = notebook.cells[0]
    first.source = re.sub(r"(?m)^\[!\[.*\n*", "", first.source)
    first.source, found = re.subn(
        r"(?m)^# .+$", lambda m: f"{m[0]}\n\n{launch_bar(lesson.notebook)}", first.source, count=1
    )
    if not found:
        raise ValueError(f"{lesson.notebook.relative_to(ROOT)}: its first cell has no title")
    return notebook


# --- start page ---


def first_figure() -> str:
    """The README's measured picture, another drawing of it for phones, and the sentence below it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = re.search(
        r"!\[(?P<alt>[^\]]+)\]\((?P<file>assets/[^)]+)\)\n+(?P<below>(?:.+\n)+)", readme
    )
    if picture is None:
        raise ValueError("README.md shows no picture of assets/ with a sentence below it")
    phones = f'<source media="(max-width: 46em)" srcset="{NARROW_FIGURE}">'
    shown = f"<picture>{phones}![{picture['alt']}]({picture['file']})</picture>"
    return f"{shown}\n\n{picture['below']}"


def narrow_figure(notebook: nbformat.NotebookNode) -> Drawing:
    """The figure of the cell with the tag ``readme-figure``, for a screen of 360 pixels: its bars, from its alternative text,
    and the lead, from the finding below it. Raises ValueError where the notebook doesn't say them."""
    alt, said = "", ""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "readme-figure" in cell.metadata.get("tags", []):
                alt = output.get("metadata", {}).get("image/png", {}).get("alt", alt)
            said += output.get("data", {}).get("text/markdown", "")
    bars = re.findall(r"([\w -]+) (\d+)%", alt.partition(":")[2])
    lead = re.search(r"([+-]\d+) points \(95\s?% interval [+-]\d+ to [+-]\d+\)", said)
    if len(bars) < 2 or lead is None:
        raise ValueError("the first lesson's figure or its finding has no numbers to draw")
    (rival, behind), (best, most) = bars[-2:]
    d = Drawing(312, 84 + 50 * len(bars), f"{alt} Lead: {lead[0]}.")
    d.text(0, 24, f"{best.strip()} sorts {most}% right,\n{rival.strip()} {behind}%", 15, bold=True)
    for row, (name, share) in enumerate(bars):
        y = 66 + 50 * row
        d.text(0, y, name.strip())
        d.bar(0, y + 7, 260, 20, PALE)
        d.bar(0, y + 7, 2.6 * int(share), 20)
        d.text(312, y + 22, f"{share}%", 15, "end", bold=True)
    d.text(0, d.height - 10, f"lead {lead[0]}".replace("-", "−"), 14)
    return d


def demo() -> str:
    """The classifier that runs in the visitor's browser; nothing where `make browser` hasn't made it."""
    if not (DEMO / "models.json").is_file():
        return ""
    return """**Try it**, here in your browser. Nothing that you type is sent anywhere, and
no model is loaded before you press the button.

<iframe class="demo" src="try/index.html" loading="lazy" title="A classifier in your browser"></iframe>
"""


def lesson_table() -> str:
    """Number, title, what the README says of it, measured minutes."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = ["| | lesson | you learn | run time, min |", "|---|---|---|---|"]
    for lesson in lessons():
        row = re.search(rf"(?m)^\|.*{re.escape(lesson.notebook.name)}\) \|([^|]*)\|", readme)
        cost = measured().get(lesson.number, {}).get("mini", {}).get("minutes")
        number = "" if lesson.is_appendix else lesson.number
        rows.append(
            f"| {number} | [{lesson.title}](notebooks/{lesson.notebook.name}) "
            f"| {row[1].strip() if row else ''} | {f'{cost:.1f}' if cost else '–'} |"
        )
    return "\n".join(rows)


def contents(caption: str, entries: list[tuple[str, str]], depth: int = 1) -> str:
    lines = "\n".join(f"{title} <{name}>" if title else name for title, name in entries)
    head = f":caption: {caption}\n" if caption else ""
    return f"```{{toctree}}\n:hidden:\n:maxdepth: {depth}\n{head}\n{lines}\n```\n"


def start_page() -> str:
    text = (SITE / "index.md").read_text(encoding="utf-8").replace("](../", "](")
    first = lessons()[0].notebook
    values = {
        "first_figure": first_figure(),
        "demo": demo(),
        "lessons": lesson_table(),
        "first": f"[Start with the first lesson]({first.relative_to(ROOT).as_posix()})",
        "colab": "[on {}]({})".format(*next(iter(launch_links(first).items()))),
    }
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return "\n".join(
        [
            text,
            contents(
                "Learn",
                [("The route", "notebooks/README")]
                + [
                    (
                        f"{'' if x.is_appendix else x.number + ' '}{x.title}",
                        f"notebooks/{x.notebook.stem}",
                    )
                    for x in lessons()
                ],
            ),
            contents(
                "Look up",
                [("Glossary", "notebooks/glossary"), ("Claims, taken apart", "notebooks/claims")]
                + [("Speed", "assets/bench")] * (ROOT / "assets/bench.md").is_file()
                + [("Data and models", "data/README")],
                depth=2,
            ),
            contents("Teach", [("For instructors", "INSTRUCTORS")], depth=2),
        ]
    )


# --- the whole site ---


def slides() -> None:
    """The instructor's slides, one file a lesson, without links to files beside the notebook: they would be dead here."""
    from tools.instructor import slides_page

    folder = SOURCE / "extra/slides"
    folder.mkdir(parents=True, exist_ok=True)
    for lesson in lessons():
        link = r'<a href="(?!https?:|#)[^"]*">(.*?)</a>'
        text = re.sub(link, r"\1", slides_page(lesson), flags=re.S)
        (folder / f"{lesson.number}.html").write_text(text, encoding="utf-8")


def entry(page: Path, folder: Path) -> str:
    return page.relative_to(folder).with_suffix("").as_posix()


def page_text(page: Path, kept: set[Path], pictures: set[Path]) -> str:
    text = page.read_text(encoding="utf-8")
    if page.name == "glossary.md":
        text = glossary(text)
    text = relinked(text, page, kept, pictures)
    here = page.parent
    if page == ROOT / "INSTRUCTORS.md":
        names = {f: f.stem.replace("appendix_", "Appendix: ") for f in instructor_pages()}
        entries = [
            (f"Lesson {name}".replace("Lesson A", "A"), entry(f, here)) for f, name in names.items()
        ]
        text += "\n" + contents("", entries)
    elif page == ROOT / "data/README.md":
        cards = [f for f in sorted(here.rglob("README.md")) if f != page]
        text += "\n" + contents("", [("", entry(f, here)) for f in cards])
    elif page.parent.name == "instructor":
        link = f'<p class="launch"><a href="../../../slides/{page.stem}.html">Slides of this lesson</a></p>'
        text = re.sub(r"(?m)^# .+$", lambda m: f"{m[0]}\n\n{link}", text, count=1)
    return text


def gather() -> None:
    """Write all pages and pictures to ``build/site-source/``."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    kept = set(pages())
    pictures: set[Path] = set()
    by_notebook = {lesson.notebook: lesson for lesson in lessons()}
    for page in kept:
        target = SOURCE / page.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if page in by_notebook:
            nbformat.write(lesson_page(by_notebook[page], kept, pictures), target)
        else:
            target.write_text(page_text(page, kept, pictures), encoding="utf-8")
    index = relinked(start_page(), ROOT / "index.md", kept, pictures)
    (SOURCE / "index.md").write_text(index, encoding="utf-8")
    for picture in pictures:
        target = SOURCE / picture.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)
    first = nbformat.read(lessons()[0].notebook, as_version=4)
    narrow = SOURCE / "extra" / NARROW_FIGURE
    narrow.parent.mkdir()
    narrow.write_text(narrow_figure(first).svg(), encoding="utf-8")
    slides()
    if demo():
        shutil.copytree(DEMO, SOURCE / "extra/try", ignore=shutil.ignore_patterns("*.part"))


def mend_links() -> None:
    """Point links in printed outputs, which Sphinx leaves as they are, at the pages."""
    folder = OUT / "notebooks"

    def mended(found: re.Match) -> str:
        target, at = found[1], found[2] or ""
        is_page = (folder / f"{target}.html").is_file()
        return f'href="{target}.html{at}"' if is_page else found[0]

    for page in folder.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(
            re.sub(r'href="([\w./-]+)\.(?:md|ipynb)(#[\w-]*)?"', mended, text), encoding="utf-8"
        )


def main() -> None:
    try:
        gather()
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"The site can't be built: {error}") from None
    shutil.rmtree(OUT, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", SITE, SOURCE, OUT]
    command += ["-d", ROOT / "build/site-doctrees"]
    if subprocess.run(command).returncode:
        raise SystemExit("The site can't be built: Sphinx warns (above).")
    mend_links()
    from tools.site_search import index

    print(f"{index(OUT)} sections can be searched.")
    if not demo():
        print(
            "The start page has no demo: `make browser` first, which trains its models (minutes)."
        )
    print(
        f"Open {(OUT / 'index.html').relative_to(ROOT)}, or serve it: python -m http.server -b 127.0.0.1 -d build/site"
    )


if __name__ == "__main__":
    main()
