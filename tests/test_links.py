"""An address is called dead only when it is. Everything is asked of a server on this machine."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tools import links

# path -> the statuses of its HEAD answers, and of its GET answers; the last one is repeated
PAGES = {"/fine": ([200], [200]), "/get-only": ([405], [200]), "/gone": ([404], [404]), "/wrong-head": ([404], [200]),
         "/recovers": ([503, 200], [503, 200]), "/in-trouble": ([503], [500]), "/refuses": ([403], [403]),
         "/busy": ([429], [429]), "/busy-once": ([429, 200], [200]), "/moved": ([301], [301]), "/nowhere-to": ([302], [302])}
TARGETS = {"/moved": "/fine", "/nowhere-to": "/gone"}


@pytest.fixture
def server(monkeypatch):
    """Address of the server; ``server.asked`` counts the requests by method and path."""
    asked = Counter()

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            if self.path == "/stalls":
                return time.sleep(0.5)
            statuses = PAGES[self.path][self.command == "GET"]
            status = statuses[min(asked[self.command, self.path], len(statuses) - 1)]
            asked[self.command, self.path] += 1
            self.send_response(status)
            if self.path in TARGETS:
                self.send_header("Location", TARGETS[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET = answer

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made.url, made.asked = f"http://127.0.0.1:{made.server_port}", asked
    yield made
    made.shutdown()
    made.server_close()


def check(server, path, **more):
    return links.check(server.url + path, wait=0.01, timeout=2.0, **more)


@pytest.mark.parametrize(("path", "state", "why", "requests"), [
    ("/fine", "alive", "200", 1), ("/get-only", "alive", "200", 2), ("/wrong-head", "alive", "200", 2),
    ("/gone", "dead", "404 Not Found", 2), ("/refuses", "dead", "403 Forbidden", 2),
    ("/recovers", "alive", "200", 3), ("/in-trouble", "dead", "500 Internal Server Error", 6),
    ("/busy", "dead", "429 Too Many Requests", 3), ("/busy-once", "alive", "200", 2),
])
def test_an_answer_is_believed_when_it_is_for_good_and_asked_again_when_it_is_not(server, path, state, why, requests):
    assert check(server, path) == links.Answer(server.url + path, state, why)
    assert sum(server.asked.values()) == requests


@pytest.mark.parametrize(("path", "state"), [("/moved", "alive"), ("/nowhere-to", "dead")])
def test_an_address_that_moved_is_judged_by_where_it_leads(server, path, state):
    assert check(server, path).state == state


@pytest.mark.parametrize(("path", "state"), [
    ("/refuses", "blocked"), ("/busy", "blocked"), ("/gone", "dead"), ("/in-trouble", "dead")])
def test_a_site_known_to_refuse_programs_may_do_that_and_nothing_else(server, path, state):
    assert check(server, path, blocking={"127.0.0.1"}).state == state


def test_waits_double_and_a_closed_door_is_dead(monkeypatch):
    waits = []
    monkeypatch.setattr(links.time, "sleep", waits.append)
    answer = links.check("http://127.0.0.1:9/", timeout=1.0)  # closed: the discard service
    assert answer.state == "dead" and answer.why and waits == [2.0, 4.0]


def test_a_server_that_never_answers_costs_no_more_than_the_time_it_is_given(server):
    start = time.perf_counter()
    answer = links.check(f"{server.url}/stalls", wait=0.01, timeout=0.1)
    assert answer.state == "dead" and "timed out" in answer.why
    assert time.perf_counter() - start < 3  # six requests of 0.1 s


@pytest.mark.parametrize(("text", "found"), [
    ("See [the paper](https://arxiv.org/abs/1910.01108).", {"https://arxiv.org/abs/1910.01108"}),
    ("<https://a.org/b> and https://c.org/d, or `https://e.org/f`.", {"https://a.org/b", "https://c.org/d", "https://e.org/f"}),
    ("(https://en.wikipedia.org/wiki/BERT_(language_model))", {"https://en.wikipedia.org/wiki/BERT_(language_model)"}),
    ("[![Open](https://a.org/b.svg)](https://c.org/d#part)", {"https://a.org/b.svg", "https://c.org/d#part"}),
    ("<details><a href=\"https://a.org/?x=1&amp;y=2\">x</a>&#10;https://b.org&#10;next</details>", {"https://a.org/?x=1&y=2", "https://b.org"}),
    ("win at http://prize.example/now, http://127.0.0.1:8888/lab, http://localhost:1 or https://example.com", set()),
])
def test_addresses_are_found_without_what_surrounds_them(text, found):
    assert links.addresses(text) == found


def test_a_notebook_is_read_for_its_text_not_for_its_outputs(tmp_path):
    cells = [{"cell_type": "markdown", "source": ["see ", "https://a.org"]},
             {"cell_type": "code", "source": "x", "outputs": [{"text": "https://b.org"}]}]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert links.addresses(links.prose_of(tmp_path / "n.ipynb")) == {"https://a.org"}


def test_addresses_inside_this_repository_are_looked_up_among_its_files():
    home = links.repository()
    blob = f"https://github.com/{home.name}/blob/{home.branch}"
    assert links.own(f"{blob}/README.md#top").state == links.own(f"https://github.com/{home.name}").state == "alive"
    assert links.own(f"{blob}/no/such.md") == links.Answer(f"{blob}/no/such.md", "dead", "no such file in this repository")
    on_colab = blob.replace("github.com", "colab.research.google.com/github")
    assert links.own(f"{on_colab}/notebooks/99_none.ipynb").state == "dead"
    assert links.own(f"https://github.com/{home.name}-other/blob/main/README.md") is None
    assert links.own("https://colab.research.google.com/assets/colab-badge.svg") is None


def test_every_address_of_the_repository_is_collected_and_its_own_ones_lead_somewhere():
    found = links.collect()
    assert "https://huggingface.co/distilbert/distilbert-base-uncased" in found
    assert sum("colab.research.google.com/github/" in url for url in found) >= 7
    assert not [url for url in found if (answer := links.own(url)) and answer.state != "alive"]


def test_one_dead_address_is_named_with_its_files_and_fails_the_run(server, monkeypatch, capsys):
    monkeypatch.setattr(links, "collect", lambda: {f"{server.url}/fine": ["a.md"], f"{server.url}/gone#part": ["b.md", "c.md"]})
    with pytest.raises(SystemExit) as stopped:
        links.main()
    assert stopped.value.code is True
    assert capsys.readouterr().out == (
        f"dead: {server.url}/gone#part (404 Not Found) in b.md, c.md\n1 alive, 0 blocked, 1 dead\n")
