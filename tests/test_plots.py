"""Every figure carries alt text, is closed after showing, and can be read without colour."""

import base64
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from course_utils import plots


@pytest.fixture
def shown(monkeypatch):
    """What would be displayed: a list of (data, metadata)."""
    calls = []
    monkeypatch.setattr(
        plots, "display", lambda data, raw, metadata: calls.append((data, metadata))
    )
    yield calls
    plt.close("all")


def test_a_shown_figure_keeps_its_alt_text_in_the_outputs_metadata(shown):
    before = plt.get_fignums()
    figure, ax = plots.new_figure()
    ax.plot([1, 2], [1, 2])
    plots.show(figure, "A straight line that rises.")
    ((data, metadata),) = shown
    assert metadata == {"image/png": {"alt": "A straight line that rises."}}
    assert data["text/plain"] == "A straight line that rises."
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG\r\n")
    assert plt.get_fignums() == before


def test_alt_text_arrives_in_a_notebooks_output(capsys):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import RichOutput, capture_output

    InteractiveShell.instance()
    figure, _ = plots.new_figure()
    with capture_output() as captured:
        plots.show(figure, "Empty axes.")
    InteractiveShell.clear_instance()
    output: RichOutput = captured.outputs[0]
    assert output.metadata["image/png"]["alt"] == "Empty axes." and "image/png" in output.data


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_alt_text_is_refused(shown, alt):
    figure, _ = plots.new_figure()
    with pytest.raises(ValueError, match="needs alt text"):
        plots.show(figure, alt)
    assert shown == []


def test_new_figure_gives_one_axes_or_several():
    assert plots.new_figure()[1].get_title() == ""
    assert plots.new_figure(columns=3)[1].shape == (3,)
    plt.close("all")


def test_curves_differ_by_dash_and_marker_not_by_colour_alone(shown):
    _, ax = plots.new_figure()
    for number in range(7):
        plots.curve(ax, [0, 1], [number, number], f"curve {number}", number)
    looks = [
        (str(line.get_linestyle()), line.get_marker(), line._dash_pattern) for line in ax.lines
    ]
    assert (
        len({marker for _, marker, _ in looks}) == 7
        and len({str(dash) for _, _, dash in looks}) == 7
    )
    assert [line.get_label() for line in ax.lines] == [f"curve {number}" for number in range(7)]


def test_the_first_four_colours_differ_in_lightness():
    def luminance(colour: str) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    light = [luminance(c) for c in plots.COLOURS]
    ordered = sorted(light[:4])
    assert min((b + 0.05) / (a + 0.05) for a, b in pairwise(ordered)) >= 1.3


def test_a_band_is_drawn_from_low_to_high(shown):
    _, ax = plots.new_figure()
    plots.curve(ax, [0, 1], [1, 2], "measured", low=[0.5, 1.5], high=[1.5, 2.5])
    ends = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (ends.min(), ends.max()) == (0.5, 2.5)


def test_bars_stand_in_order_with_their_values_written_and_room_for_them(shown):
    _, ax = plots.new_figure()
    plots.bars(ax, ["first", "second"], [0.5, 0.25], intervals=[[0.4, 0.6], [0.2, 0.3]])
    assert [bar.get_width() for bar in ax.patches] == [0.5, 0.25]
    assert [text.get_text() for text in ax.texts] == ["0.50", "0.25"]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "first",
        "second",
    ] and ax.yaxis_inverted()
    assert min(text.get_position()[0] for text in ax.texts) > 0.3 and ax.get_xlim()[1] > 0.6


def test_a_confusion_matrix_shows_counts_and_the_share_of_each_true_class(shown):
    _, ax = plots.new_figure()
    plots.confusion(ax, np.array([[3, 1], [0, 0]]), ["neg", "pos"])
    assert [text.get_text() for text in ax.texts] == ["3\n(75%)", "1\n(25%)", "0\n(0%)", "0\n(0%)"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    assert [text.get_color() for text in ax.texts[:2]] == ["white", "black"]


def test_a_title_wider_than_its_figure_is_not_cut_off(shown):
    widths = []
    for title in ("short", "a title that is far wider than this figure " * 2):
        figure, ax = plots.new_figure(width=3)
        ax.set_title(title)
        plots.show(figure, "Empty axes.")
        png = base64.b64decode(shown[-1][0]["image/png"])
        widths.append(int.from_bytes(png[16:20], "big"))  # the PNG header's width
    assert widths[1] > 2 * widths[0]


@pytest.mark.parametrize("fmt", ["{:.0%}", "{:.2f}"])
def test_bars_have_the_axis_in_the_unit_of_their_labels(fmt):
    _, ax = plots.new_figure()
    plots.bars(ax, ["only"], [0.5], fmt=fmt)
    assert (ax.xaxis.get_major_formatter()(0.5) == "50%") == fmt.endswith("%}")
