"""Sphinx's settings. ``make site`` gathers the pages in build/site-source first (tools/site.py)."""

import os
import re
import sys
from pathlib import Path

import latex2mathml.converter
from docutils.nodes import SkipNode
from myst_nb.core.render import NbElementRenderer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project, language = "The DistilBERT course", "en"
html_title = project
extensions = ["myst_nb", "sphinx_copybutton"]
exclude_patterns = ["_build", "extra", "**.ipynb_checkpoints"]

nb_execution_mode = "off"  # the committed notebooks have been executed
nb_merge_streams = True
nb_code_prompt_show = "Show code"
nb_code_prompt_hide = "Hide code"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3

html_theme = "furo"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#00568c", "color-brand-content": "#00568c"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f5", "color-brand-content": "#7cc4f5"},
}
html_static_path = ["static"]
html_extra_path = [str(ROOT / "build/site-source/extra")]
templates_path = ["templates"]
html_css_files = ["course.css"]
html_js_files = [("course.js", {"defer": "defer"})]
html_baseurl = os.environ.get("SITE_URL", "")
html_use_index = False
html_copy_source = html_show_sourcelink = False
html_show_sphinx = html_show_copyright = False
html_permalinks_icon = "#"
html_math_renderer = "mathml"


def mathml(node, block: bool) -> str:
    """A formula in the browser's own markup: nothing to load, and a screen reader reads it."""
    text = node.astext()
    made = latex2mathml.converter.convert(text, display="block" if block else "inline")
    if unknown := re.findall(r"\\[a-zA-Z]+", re.sub(r"<annotation.*?</annotation>", "", made)):
        raise ValueError(f"latex2mathml doesn't know {', '.join(unknown)} in ${text}$")
    return made


def visit_math(self, node) -> None:
    self.body.append(mathml(node, block=False))
    raise SkipNode


def visit_math_block(self, node) -> None:
    self.body.append(f'<div class="math">{mathml(node, block=True)}</div>')
    raise SkipNode


# myst-nb keeps only width and height of an output's image metadata; the course's alt texts stand there too.
render_image = NbElementRenderer.render_image


def render_image_with_alt(self, data):
    found = render_image(self, data)
    if alt := data.output_metadata.get(data.mime_type, {}).get("alt"):
        found[0]["alt"] = alt
    return found


NbElementRenderer.render_image = render_image_with_alt


def setup(app) -> None:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
