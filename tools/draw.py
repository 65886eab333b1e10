"""Draw the lessons' drawings as SVG. ``python -m tools.draw`` writes them to notebooks/pictures/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from pathlib import Path

from tools.lessons import NOTEBOOKS

# On a grey print these are 34, 87, 232, 204, 102 and 169 of 255; GREY is for words and lines (5.7 : 1 on white), SOFT for bars.
INK, BLUE, PALE, SAND = "#222222", "#0072B2", "#DCEBF7", "#F2C879"
GREY, SOFT = "#666666", "#A9A9A9"
FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"


@dataclass
class Drawing:
    """Shapes on a white sheet of ``width`` x ``height`` pixels; ``alt`` is what a screen reader says."""

    width: int
    height: int
    alt: str
    parts: list[str] = field(default_factory=list)

    def box(self, x, y, w, h, text="", fill=PALE, size=15, bold=False, dashed=False) -> None:
        """A rounded box with ``text`` in its middle; a line break in it starts a new line."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{fill}" '
            f'stroke="{INK}" stroke-width="1.3"{dash}/>'
        )
        self.text(x + w / 2, y + h / 2 + 0.35 * size, text, size, "middle", bold)

    def text(self, x, y, text, size=15, anchor="start", bold=False, colour=INK) -> None:
        lines = text.split("\n")
        for number, line in enumerate(lines):
            down = y + (number - (len(lines) - 1) / 2) * 1.25 * size
            self.parts.append(
                f'<text x="{x:g}" y="{down:g}" font-size="{size}" text-anchor="{anchor}" '
                f'fill="{colour}" font-weight="{"bold" if bold else "normal"}">{escape(line)}</text>'
            )

    def arrow(self, x1, y1, x2, y2, width=1.6, colour=INK) -> None:
        self.parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" '
            f'stroke-width="{width}" marker-end="url(#tip)"/>'
        )

    def bar(self, x, y, w, h, fill=BLUE) -> None:
        self.parts.append(f'<rect x="{x}" y="{y}" width="{w:g}" height="{h}" fill="{fill}"/>')

    def svg(self) -> str:
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" '
            f'style="max-width:100%;height:auto" font-family="{FONT}">\n'
            f"<title>{escape(self.alt)}</title>\n"
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="{INK}"/></marker></defs>\n'
            f'<rect width="{self.width}" height="{self.height}" fill="white"/>\n{body}\n</svg>\n'
        )


def drawings() -> dict[str, Callable[[], Drawing]]:
    """Name of the file -> function that draws it, over all lessons."""
    found: dict[str, Callable[[], Drawing]] = {}
    for file in sorted((Path(__file__).parent / "drawings").glob("lesson_*.py")):
        found |= import_module(f"tools.drawings.{file.stem}").DRAWINGS
    return found


def main() -> None:
    folder = NOTEBOOKS / "pictures"
    folder.mkdir(exist_ok=True)
    for name, draw in drawings().items():
        (folder / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
        print(f"wrote {folder.name}/{name}.svg")


if __name__ == "__main__":
    main()
