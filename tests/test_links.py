"""Addresses are found in the prose; those inside this repository are looked up, the others listed."""

import json

import pytest
import yaml

from tools import links
from tools.lessons import ROOT


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "See [the paper](https://arxiv.org/abs/1910.01108).",
            {"https://arxiv.org/abs/1910.01108"},
        ),
        (
            "<https://a.org/b> and https://c.org/d, or `https://e.org/f`.",
            {"https://a.org/b", "https://c.org/d", "https://e.org/f"},
        ),
        (
            "(https://en.wikipedia.org/wiki/BERT_(language_model))",
            {"https://en.wikipedia.org/wiki/BERT_(language_model)"},
        ),
        (
            "[![Open](https://a.org/b.svg)](https://c.org/d#part)",
            {"https://a.org/b.svg", "https://c.org/d#part"},
        ),
        (
            '<details><a href="https://a.org/?x=1&amp;y=2">x</a>&#10;https://b.org&#10;next</details>',
            {"https://a.org/?x=1&y=2", "https://b.org"},
        ),
        (
            "win at http://prize.example/now, http://127.0.0.1:8888/lab, http://localhost:1 or https://example.com",
            set(),
        ),
    ],
)
def test_addresses_are_found_without_what_surrounds_them(text, found):
    assert links.addresses(text) == found


def test_a_notebook_is_read_for_its_text_not_for_its_outputs(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["see ", "https://a.org"]},
        {"cell_type": "code", "source": "x", "outputs": [{"text": "https://b.org"}]},
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert links.addresses(links.prose_of(tmp_path / "n.ipynb")) == {"https://a.org"}


def test_addresses_inside_this_repository_are_looked_up_among_its_files():
    home = links.repository()
    blob = f"https://github.com/{home.name}/blob/{home.branch}"
    assert (
        links.internal_answer(f"{blob}/README.md#top").state
        == links.internal_answer(f"https://github.com/{home.name}").state
        == "alive"
    )
    assert links.internal_answer(f"{blob}/no/such.md") == links.Answer(
        f"{blob}/no/such.md", "dead", "no such file in this repository"
    )
    on_colab = blob.replace("github.com", "colab.research.google.com/github")
    assert links.internal_answer(f"{on_colab}/notebooks/99_none.ipynb").state == "dead"
    assert (
        links.internal_answer(f"https://github.com/{home.name}-other/blob/main/README.md") is None
    )
    assert links.internal_answer("https://colab.research.google.com/assets/colab-badge.svg") is None


def test_every_address_of_the_repository_is_collected_and_its_own_ones_lead_somewhere():
    found = links.collect()
    assert "https://huggingface.co/distilbert/distilbert-base-uncased" in found
    assert sum("colab.research.google.com/github/" in url for url in found) >= 7
    assert not [
        url for url in found if (answer := links.internal_answer(url)) and answer.state != "alive"
    ]


@pytest.fixture
def pages(tmp_path, monkeypatch):
    home = links.repository()
    blob = f"https://github.com/{home.name}/blob/{home.branch}"
    monkeypatch.setattr(links, "ROOT", tmp_path)
    monkeypatch.setattr(
        links,
        "collect",
        lambda: {
            "https://a.org/x": ["a.md", "notebooks/b.ipynb"],
            "https://b.org": ["a.md"],
            "https://www.kaggle.com/c": ["a.md"],
            f"{blob}/none.md": ["b.md", "c.md"],
            f"https://github.com/{home.name}": ["a.md"],
        },
    )
    return tmp_path, blob


def test_one_dead_address_of_our_own_is_named_with_its_files_and_fails_the_run(pages, capsys):
    _, blob = pages
    with pytest.raises(SystemExit) as stopped:
        links.main()
    assert stopped.value.code is True
    assert capsys.readouterr().out == (
        f"dead: {blob}/none.md (no such file in this repository) in b.md, c.md\n"
        "5 addresses, 1 dead here; 2 others to check in build/links\n"
    )


def test_each_page_has_a_list_of_the_addresses_that_answer_programs(pages):
    folder, _ = pages
    old = folder / "build/links/gone.md.txt"
    old.parent.mkdir(parents=True)
    old.touch()
    with pytest.raises(SystemExit):
        links.main()
    lists = {
        f.relative_to(folder / "build/links").as_posix(): f.read_text("utf-8")
        for f in folder.rglob("*.txt")
    }
    assert lists == {
        "a.md.txt": "https://a.org/x\nhttps://b.org\n",
        "notebooks/b.ipynb.txt": "https://a.org/x\n",
    }


def test_the_weekly_workflow_asks_what_is_listed():
    jobs = yaml.safe_load((ROOT / ".github/workflows/weekly.yml").read_text("utf-8"))["jobs"]
    steps = jobs["links"]["steps"]
    made, asked = (
        next(n for n, s in enumerate(steps) if word in str(s))
        for word in ("make links", "lychee-action")
    )
    assert (
        made < asked
        and "build/links" in steps[asked]["with"]["args"]
        and steps[asked]["with"]["fail"] is True
    )
    assert not jobs["links"].get("permissions")  # those of the workflow: to read
