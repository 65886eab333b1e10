"""The site: what it is made from, and, where its environment and a Chromium are at hand, every page in a real browser.

``make site-test`` builds the site and runs all of this; ``make test`` runs what needs neither, and says what it skips.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import zlib
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import pytest

from tools import site
from tools.launch import python_of
from tools.lessons import ROOT, lessons, repository

BUILT = ROOT / "build/site"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OTHER_HOST = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=\"(?:https?:)?//|<link\b(?![^>]*rel=\"canonical\")[^>]*\bhref=\"(?:https?:)?//"
    r"|@import|url\([\"']?(?:https?:)?//|\bimport\([\"']https?:|\bfetch\([\"']https?:"
)

# What a learner would type -> where the first answer must lead. These decided which search the site has.
QUERIES = {
    "padding": r"glossary.html#padding|03_.*padding",
    "what is a learning rate": r"glossary.html#learning-rate$|04_.*learning-rate",
    "how many labels do I need": r"0[57]_.*how-many-labels",  # both sections answer it by a curve
    "out of memory": r"appendix_errors|03_.*memory|03_.*batch",
    "confusion matrix": r"glossary.html#confusion-matrix|06_.*confusion-matrix",
    "warmup": r"glossary.html#warm-up|04_.*warm-up",
    "60 % faster": r"01_.*faster",
    "my own texts": r"notebooks/README.html#one-day|own",
    "macro F1": r"06_.*(?:macro|many-classes)|glossary.html#(?:f1|macro)",
    "temperature": r"glossary.html#temperature$|02_.*temperature",
}


# --- without a browser ---


@pytest.fixture(scope="module")
def gathered(tmp_path_factory) -> Path:
    """What Sphinx is given."""
    before, site.SOURCE = site.SOURCE, tmp_path_factory.mktemp("source")
    try:
        site.gather()
        yield site.SOURCE
    finally:
        site.SOURCE = before


def texts(folder: Path) -> dict[str, str]:
    """Prose by page: Markdown files, and the text cells of notebooks."""
    found = {}
    for file in sorted(f for f in folder.rglob("*") if f.suffix in {".md", ".ipynb"}):
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        found[file.relative_to(folder).as_posix()] = text
    return found


def test_every_lesson_has_its_page_in_the_contents_and_its_slides(gathered):
    index = (gathered / "index.md").read_text(encoding="utf-8")
    for lesson in lessons():
        assert (gathered / f"notebooks/{lesson.notebook.name}").is_file()
        assert (gathered / f"extra/slides/{lesson.number}.html").is_file()
        assert f"<notebooks/{lesson.notebook.stem}>" in index
        assert f"[{lesson.title}](notebooks/{lesson.notebook.name})" in index


def test_the_start_page_has_the_first_figure_for_phones_too(gathered):
    index = (gathered / "index.md").read_text(encoding="utf-8")
    assert re.search(
        rf'<source [^>]*srcset="{site.NARROW_FIGURE}">!\[.+\]\(assets/first-figure.png\)</picture>',
        index,
    )
    drawn = (gathered / "extra" / site.NARROW_FIGURE).read_text(encoding="utf-8")
    notebook = nbformat.read(lessons()[0].notebook, as_version=4)
    (figure,) = (
        o
        for c in notebook.cells
        if "readme-figure" in c.metadata.get("tags", [])
        for o in c.outputs
    )
    bars = figure.metadata["image/png"]["alt"].partition(": ")[2].rstrip(".").split(", ")
    assert len(bars) == 3
    for name, share in (bar.rsplit(" ", 1) for bar in bars):
        assert f">{name}</text>" in drawn and f">{share}</text>" in drawn
    assert re.search(r">lead [+−]\d+ points \(95% interval [+−]\d+ to [+−]\d+\)<", drawn)
    notebook.cells = [c for c in notebook.cells if c.cell_type == "markdown"]
    with pytest.raises(ValueError, match="no numbers to draw"):
        site.narrow_figure(notebook)


def test_the_start_page_has_the_demo_where_it_was_made(tmp_path, monkeypatch):
    made = tmp_path / "browser"
    monkeypatch.setattr(site, "SOURCE", tmp_path / "source")
    monkeypatch.setattr(site, "DEMO", made)
    site.gather()
    assert "<iframe" not in (site.SOURCE / "index.md").read_text(encoding="utf-8")
    made.mkdir()
    for name in ("models.json", "index.html"):
        (made / name).write_text(name, encoding="utf-8")
    site.gather()
    assert 'src="try/index.html"' in (site.SOURCE / "index.md").read_text(encoding="utf-8")
    assert (site.SOURCE / "extra/try/index.html").read_text(encoding="utf-8") == "index.html"


def test_cells_and_outputs_are_those_of_the_committed_notebook(gathered):
    for lesson in lessons():
        ours, theirs = (
            [c for c in nbformat.read(f, as_version=4).cells if c.cell_type == "code"]
            for f in (gathered / f"notebooks/{lesson.notebook.name}", lesson.notebook)
        )
        assert ours == theirs


def test_a_lesson_without_its_notebook_stops_the_build(monkeypatch, tmp_path):
    source = tmp_path / "42_lost.py"
    source.write_text("# %% [markdown]\n# # Lost?\n", encoding="utf-8")
    lost = site.Lesson(source)
    here = lessons()
    monkeypatch.setattr(site, "lessons", lambda: [*here, lost])
    monkeypatch.setattr(site, "ROOT", Path("/"))
    with pytest.raises(FileNotFoundError, match=r"42_lost\.py has no .*42_lost\.ipynb"):
        site.pages()


def test_launch_links_open_this_notebook_of_this_repository(gathered):
    here = repository()
    for lesson in lessons():
        path = f"notebooks/{lesson.notebook.name}"
        links = site.launch_links(lesson.notebook)
        assert set(links) == {"Colab", "Kaggle", "Binder", "Codespaces", "GitHub"}
        assert links["Colab"] == here.colab(lesson.notebook)
        for name in ("Kaggle", "GitHub"):
            assert links[name].endswith(f"github.com/{here.name}/blob/{here.branch}/{path}")
        assert links["Binder"].endswith(f"/{here.name}/{here.branch}?urlpath=lab/tree/{path}")
        shown = texts(gathered)[path]
        assert all(f"]({url})" in shown for url in links.values())
        assert "make learn" in shown and "colab-badge" not in shown


def test_a_fork_gets_its_own_addresses(monkeypatch):
    monkeypatch.setenv("SITE_REPOSITORY", "ada/my-course")
    monkeypatch.setenv("SITE_BRANCH", "trunk")
    here, page = repository(), ROOT / "notebooks/README.md"
    text = f"[a](https://github.com/{here.name}/blob/{here.branch}/LICENSE) [b](../LICENSE) [c](../README.md) `[d](../LICENSE)`"
    assert site.relinked(text, page, set(), set()) == (
        "[a](https://github.com/ada/my-course/blob/trunk/LICENSE) [b](https://github.com/ada/my-course/blob/trunk/LICENSE) "
        "[c](../index.md) `[d](../LICENSE)`"
    )
    assert (
        site.launch_links(lessons()[0].notebook)["Codespaces"]
        == "https://codespaces.new/ada/my-course?ref=trunk"
    )


def test_on_gitlab_no_button_leads_to_a_service_that_opens_github_alone(monkeypatch):
    monkeypatch.setenv("SITE_REPOSITORY", "https://gitlab.com/ada/course")
    monkeypatch.setenv("SITE_BRANCH", "main")
    notebook = lessons()[0].notebook
    path = f"notebooks/{notebook.name}"
    assert site.launch_links(notebook) == {
        "Binder": f"https://mybinder.org/v2/git/https%3A%2F%2Fgitlab.com%2Fada%2Fcourse.git/main?urlpath=lab/tree/{path}",
        "GitLab": f"https://gitlab.com/ada/course/-/blob/main/{path}",
    }


def test_a_term_names_the_sections_that_use_it(gathered):
    glossary, lessons_texts = texts(gathered)["notebooks/glossary.md"], texts(gathered)
    uses = site.uses_of_terms()
    assert len(uses) > 20
    for term, places in uses.items():
        part = next(
            p for p in re.split(r"(?m)^## ", glossary) if site.slug(p.splitlines()[0]) == term
        )
        for place in places:
            assert place.link in part
            assert (
                f"(glossary.md#{term})" in lessons_texts[f"notebooks/{place.lesson.notebook.name}"]
            )


def test_links_to_files_that_are_no_pages_lead_to_github(gathered):
    for name, text in texts(gathered).items():
        for found in site.LINK.finditer(text):
            if found["to"]:
                assert (gathered / name).parent.joinpath(found["to"]).exists(), (
                    f"{name}: {found[0]}"
                )


def test_sources_load_nothing_from_another_host(gathered):
    files = [
        f
        for f in [*(ROOT / "site").rglob("*"), *gathered.rglob("*.html")]
        if f.suffix in {".html", ".js", ".css", ".md", ".py"}
    ]
    assert len(files) > 10
    assert not [f.name for f in files if OTHER_HOST.search(f.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    "text",
    ['<script src="https://cdn.example/x.js">', '<img alt="" src="//x.example/a.png">', "@import 'x.css'", 'fetch("https://x.example")',
     '<link rel="stylesheet" href="https://x.example/a.css">', "url(https://x.example/font.woff2)"],
)  # fmt: skip
def test_a_script_or_font_from_another_host_would_be_seen(text):
    assert OTHER_HOST.search(text)


def test_containers_install_with_the_targets_of_the_makefile():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    step = container["postCreateCommand"]
    assert step == "make install" and re.search(
        r"^install:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M
    )
    assert (ROOT / container["customizations"]["codespaces"]["openFiles"][0]).is_file()
    python = re.search(r"python:(3\.\d+)", container["image"])[1]
    assert (ROOT / ".binder/runtime.txt").read_text(encoding="utf-8").strip() == f"python-{python}"
    included = re.findall(
        r"(?m)^-r (.+)$", (ROOT / ".binder/requirements.txt").read_text(encoding="utf-8")
    )
    assert [(ROOT / ".binder" / f).resolve() for f in included] == [ROOT / "requirements.txt"]


def test_what_the_site_needs_is_pinned():
    ours = [
        x
        for x in (ROOT / "requirements-site.txt").read_text(encoding="utf-8").splitlines()
        if re.match(r"\w", x)
    ]
    lessons_pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert all("==" in pin or re.search(rf"^{pin}==", lessons_pins, re.M) for pin in ours)


# --- in a browser ---


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="no page was opened: `make site-test` has what that needs"
    )
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no page was opened: none of {', '.join(BROWSERS)} is installed")
    if not (BUILT / "index.html").is_file():
        pytest.skip("no page was opened: the site isn't built; `make site-test` does both")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, width: int = 1200, theme: str = "light"):
    """A page in a context of its own. Times are long, for a machine that others use too."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    context.set_default_timeout(120_000)
    return context.new_page()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder: Path):
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def address(chromium, tmp_path_factory):
    """The site below a folder, as a fork's is below its repository's name."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "my-course").symlink_to(BUILT, target_is_directory=True)
    server = serve(folder)
    yield f"http://127.0.0.1:{server.server_port}/my-course/"
    server.shutdown()


def html_pages(folder: Path = BUILT) -> list[str]:
    return sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*.html"))


def problems(browser, address: str, pages: list[str]) -> list[str]:
    """What the browser has to complain about: errors in the console, failed or foreign requests, empty or unnamed pictures."""
    found = []
    page = opened(browser)
    host, where = urlsplit(address).netloc, [""]
    page.on(
        "console",
        lambda m: m.type in {"error", "warning"} and found.append(f"{where[0]}: console: {m.text}"),
    )
    page.on("pageerror", lambda e: found.append(f"{where[0]}: {e}"))
    page.on("requestfailed", lambda r: found.append(f"{where[0]}: failed: {r.url}"))
    page.on(
        "response", lambda r: r.status >= 400 and found.append(f"{where[0]}: {r.status}: {r.url}")
    )

    def foreign(route):
        found.append(f"{where[0]}: asks another host: {route.request.url}")
        route.abort()

    page.route(lambda url: url.startswith("http") and urlsplit(url).netloc != host, foreign)
    for where[0] in pages:
        page.goto(address + where[0], wait_until="load")
        found += [f"{where[0]}: {p}" for p in page.evaluate(PICTURES)]
    page.context.close()
    return found


# Each picture is drawn into a small canvas: it must have more than one colour.
PICTURES = """async () => {
  const found = [];
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const image of document.images) {
    const name = image.currentSrc.slice(-60);
    image.loading = "eager";
    try { await image.decode(); } catch { found.push("picture doesn't load: " + name); continue; }
    if (!image.alt || /\\.(png|svg)$/.test(image.alt)) found.push("picture without alt text: " + name);
    const canvas = Object.assign(document.createElement("canvas"), {width: 200, height: 200});
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0, 200, 200);
    const colours = new Set(new Uint32Array(pen.getImageData(0, 0, 200, 200).data.buffer));
    if (colours.size < 3) found.push("picture is empty: " + name);
  }
  return found;
}"""


def dead_links(folder: Path) -> list[str]:
    """Links and anchors of all pages that lead nowhere inside the site."""
    bs4 = pytest.importorskip("bs4")
    ids, links = {}, []
    for name in html_pages(folder):
        soup = bs4.BeautifulSoup((folder / name).read_text(encoding="utf-8"), "html.parser")
        ids[name] = {tag["id"] for tag in soup.find_all(id=True)}
        links += [(name, a["href"]) for a in soup.find_all("a", href=True)]
    found = []
    for name, href in links:
        parts = urlsplit(urljoin(name, href))
        if parts.scheme or parts.netloc:
            continue
        path = unquote(parts.path) or name
        if href.startswith("/") or not (folder / path).is_file():
            found.append(f"{name}: {href}: no such file")
        elif parts.fragment and path in ids and unquote(parts.fragment) not in ids[path] | {"top"}:
            found.append(f"{name}: {href}: no such anchor")
    return found


def test_no_page_complains_or_asks_another_host(chromium, address):
    pages = html_pages()
    assert len(pages) > 2 * len(lessons())
    assert not problems(chromium, address, pages)


def test_links_and_anchors_resolve(chromium):
    assert not dead_links(BUILT)


def test_nothing_in_the_built_site_names_this_machine_or_another_host(chromium):
    for file in BUILT.rglob("*"):
        if file.suffix in {".html", ".js", ".css", ".svg"} and "pagefind" not in file.parts:
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w.:/])/(?:home|root|work|Users)/\w", text), file
            assert file.suffix == ".svg" or not OTHER_HOST.search(text), file
            assert str(ROOT) not in text


def test_every_alt_text_of_a_lesson_is_on_its_page(chromium):
    bs4 = pytest.importorskip("bs4")
    for lesson in lessons():
        page = BUILT / f"notebooks/{lesson.notebook.stem}.html"
        shown = [
            i["alt"]
            for i in bs4.BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").find_all(
                "img"
            )
        ]
        for cell in json.loads(lesson.notebook.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                for kind, about in output.get("metadata", {}).items():
                    if kind.startswith("image/"):
                        assert about["alt"] in shown


MISSED = {
    "my own texts": "lesson 00's 'Take this with you' comes first, and the route's 'One day' below it"
}


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(q, marks=pytest.mark.xfail(reason=MISSED[q])) if q in MISSED else q
        for q in QUERIES
    ],
)
def test_the_search_puts_the_right_section_first(chromium, address, query):
    page = opened(chromium)
    page.goto(address + "index.html")
    page.fill("input.sidebar-search", query)
    page.press("input.sidebar-search", "Enter")
    page.wait_for_function("q => document.body.dataset.searched === q", arg=query)
    first = page.locator("#found a").first
    assert re.search(QUERIES[query], first.get_attribute("href")), first.get_attribute("href")
    first.click()
    page.wait_for_load_state()
    anchor = unquote(urlsplit(page.url).fragment)
    assert not anchor or page.locator(f'[id="{anchor}"]').count() == 1
    page.context.close()


LOOKED_AT = [(1200, "light"), (1200, "dark"), (360, "light"), (360, "dark")]


@pytest.mark.parametrize("width, theme", LOOKED_AT)
def test_pages_fit_and_figures_show_at_each_width_in_each_theme(chromium, address, width, theme):
    """No page scrolls sideways as a whole, figures stand on white, and what is painted there has shapes in it."""
    page = opened(chromium, width, theme)
    found = []
    for name in [n for n in html_pages() if not n.startswith("slides/")]:
        page.goto(address + name)
        wide = page.evaluate("document.documentElement.scrollWidth")
        found += [f"{name}: {wide} pixels wide"] * (wide > width)
        dark = (
            page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        )
        found += [f"{name}: not in the theme {theme}"] * (dark != (theme == "dark"))
        for image in page.locator("article img").all()[:2]:
            card = image.evaluate("i => getComputedStyle(i).backgroundColor")
            found += [f"{name}: a figure on {card}"] * (card != "rgb(255, 255, 255)")
            if image.is_visible():
                found += [f"{name}: an empty figure"] * (painted(image.screenshot()) < 20)
    page.context.close()
    assert not found


def test_a_phone_shows_pictures_whose_words_can_be_read(chromium, address):
    page = opened(chromium, 360)
    page.goto(address + "index.html", wait_until="load")
    figure = page.locator(".figure-card img")
    assert figure.evaluate("i => i.currentSrc").endswith(site.NARROW_FIGURE)
    wide = page.viewport_size["width"]
    assert wide * 0.8 < figure.bounding_box()["width"] <= wide
    page.goto(f"{address}notebooks/{lessons()[0].notebook.stem}.html", wait_until="load")
    drawing = page.locator('.cell_output img[src$=".svg"]').first
    drawing.scroll_into_view_if_needed()
    assert drawing.bounding_box()["width"] > 1.8 * wide
    assert drawing.evaluate("i => i.closest('.cell_output').tabIndex") == 0  # the keyboard moves it
    page.context.close()


def painted(png: bytes) -> int:
    """How many different bytes the pixels of a PNG have."""
    place, data = 8, b""
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    return len(set(zlib.decompress(data)))


def test_the_start_page_is_light(chromium, address):
    page = opened(chromium)
    sizes = []
    page.on("response", lambda r: sizes.append(len(r.body())))
    page.goto(address + "index.html", wait_until="networkidle")
    page.context.close()
    assert 20_000 < sum(sizes) < 500_000


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium, address, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(chromium, theme=theme)
    found = []
    for name in html_pages():
        page.goto(address + name)
        for finding in axe.run(page).response["violations"]:
            if finding["impact"] in {"serious", "critical"}:
                found += [
                    f"{name}: {finding['id']}: {node['html'][:150]}"
                    for node in finding["nodes"][:2]
                ]
    page.context.close()
    assert not found


def test_plotting_cells_are_folded_code_can_be_copied_formulas_are_markup(chromium, address):
    page = opened(chromium)
    page.goto(f"{address}notebooks/{lessons()[0].notebook.stem}.html")
    folded = page.locator("details.hide.above-input")
    assert folded.count() >= 3 and not folded.first.evaluate("d => d.open")
    assert page.locator("button.copybtn").count() > 10
    page.goto(f"{address}notebooks/glossary.html")
    assert page.locator("math").count() > 10 and "$" not in page.locator("#accuracy").inner_text()
    page.context.close()


def test_the_keyboard_reaches_the_text_and_opens_the_folded_code(chromium, address):
    page = opened(chromium)
    page.goto(f"{address}notebooks/{lessons()[0].notebook.stem}.html")
    page.keyboard.press("Tab")
    for _ in range(6):
        if "skip-to-content" in (page.evaluate("document.activeElement.className") or ""):
            break
        page.keyboard.press("Tab")
    else:
        pytest.fail("the link that skips the navigation isn't among the first stops")
    summary = page.locator("details.hide.above-input > summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("details.hide.above-input").first.evaluate("d => d.open")
    page.context.close()


# --- planted faults ---


FAULTS = {
    "a broken link": ('<a href="no-such-page.html">x</a>', "no-such-page.html: no such file"),
    "a broken anchor": ('<a href="notebooks/glossary.html#no-such-term">x</a>', "#no-such-term: no such anchor"),
    "a missing picture": ('<img alt="Bars" src="_images/no-such.png">', "picture doesn't load"),
    "a picture without alt text": ('<img src="_images/white.svg">', "picture without alt text"),
    "an empty picture": ('<img alt="Bars" src="_images/white.svg">', "picture is empty"),
    "a script from a CDN": ('<script src="http://cdn.example/x.js"></script>', "asks another host"),
    "an error in a script": ("<script>throw new Error('planted')</script>", "planted"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_turns_it_red(chromium, tmp_path, fault):
    markup, complaint = FAULTS[fault]
    for part in ("_static", "_images"):
        shutil.copytree(BUILT / part, tmp_path / part)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(BUILT / "notebooks/glossary.html", tmp_path / "notebooks")
    if (BUILT / "try").is_dir():
        large = shutil.ignore_patterns("*.onnx", "*.wasm")
        shutil.copytree(BUILT / "try", tmp_path / "try", ignore=large)
    (tmp_path / "_images/white.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"><rect width="50" height="50" fill="#fff"/></svg>'
    )
    clean = (BUILT / "index.html").read_text(encoding="utf-8")
    server = serve(tmp_path)
    address = f"http://127.0.0.1:{server.server_port}/"
    for text, red in (
        (clean, False),
        (clean.replace("</article>", f"{markup}</article>", 1), True),
    ):
        (tmp_path / "index.html").write_text(text, encoding="utf-8")
        found = problems(chromium, address, ["index.html"])
        found += [d for d in dead_links(tmp_path) if "no-such" in d]
        assert any(complaint in f for f in found) if red else not found
    server.shutdown()


@pytest.mark.parametrize(
    "page, planted, complaint",
    [
        ("claims.md", "[x](no_such_lesson.ipynb)", "no_such_lesson"),
        ("claims.md", "[x](glossary.md#no-such-term)", "no-such-term"),
        ("claims.md", "![Bars](no-such.png)", "no-such.png"),
    ],
    ids=["link", "anchor", "picture"],
)
def test_sphinx_stops_at_a_planted_fault(page, planted, complaint, tmp_path):
    """A site of two pages, so that it takes seconds."""
    if not python_of(ROOT / ".venv-site").is_file():
        pytest.skip("Sphinx was not run: `make site-test` has what that needs")
    (tmp_path / "index.md").write_text(
        "# Start\n\n```{toctree}\nclaims\nglossary\n```\n", encoding="utf-8"
    )
    (tmp_path / "glossary.md").write_text("# Glossary\n\n## term\nWords.\n", encoding="utf-8")

    def build(text: str) -> subprocess.CompletedProcess:
        (tmp_path / page).write_text(f"# Claims\n\n{text}\n", encoding="utf-8")
        command = [
            python_of(ROOT / ".venv-site"),
            "-m",
            "sphinx",
            "-q",
            "-W",
            "-E",
            "-c",
            ROOT / "site",
            tmp_path,
            tmp_path / "_build",
        ]
        return subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )

    assert build("[x](glossary.md#term)").returncode == 0
    red = build(planted)
    assert red.returncode and complaint in red.stderr


def test_the_demo_loads_nothing_large_unasked_and_answers(chromium, address):
    if not (BUILT / "try/models.json").is_file():
        pytest.skip("no demo was tried: `make browser` before `make site-test`")
    known = json.loads((BUILT / "try/models.json").read_text(encoding="utf-8"))
    page = opened(chromium)
    asked, foreign = [], []
    page.on("request", lambda r: asked.append(r.url))
    page.route(
        lambda url: url.startswith("http") and not url.startswith(address),
        lambda r: (foreign.append(r.request.url), r.abort()),
    )
    page.goto(address + "index.html", wait_until="load")
    page.locator("iframe.demo").scroll_into_view_if_needed()
    demo = page.frame_locator("iframe.demo")
    demo.get_by_text("Nothing has been loaded yet.").wait_for()
    assert not [url for url in asked if url.endswith((".onnx", ".wasm"))]
    for model in known:
        demo.locator("#model").select_option(model["name"])
        demo.locator("#text").fill(model["example"])
        demo.locator("button").click()
        demo.locator("#status", has_text="ms for").wait_for()
        best = demo.locator("#rows th").first.text_content()
        assert best in [label.replace("_", " ") for label in model["labels"]]
    assert not foreign
    page.context.close()
