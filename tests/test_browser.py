"""The page of ``make browser``: in a real browser it gives Python's answers, and loads nothing from elsewhere.

The model of these tests is made in seconds: the course's smallest, of which only the last layer is fitted.
"""

from __future__ import annotations

import functools
import http.server
import json
import queue
import re
import shutil
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tools.lessons import ROOT

MISSING = "the packages of browser/pyproject.toml are missing"
pytest.importorskip("onnxscript", reason=MISSING)
onnxruntime = pytest.importorskip("onnxruntime", reason=MISSING)
build = pytest.importorskip("browser.build", reason=MISSING)

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SOURCES = ROOT / "browser"
ODD = [
    "",
    " ",
    "🙂 naïve café",
    "a" * 300,
    "[SEP] [CLS] parcel",
    "ÜBER-größe\t\n2nd line",
    "parcel " * 300,
]
CHECK = """<!doctype html><meta charset="utf-8"><iframe id="frame"></iframe><script type="module">
import { load, models } from "./try.js";
const frame = document.getElementById("frame"), report = {};
const seen = async (address, says) => {
  frame.src = address;
  for (;;) {
    const page = frame.contentDocument, status = page?.getElementById("status")?.textContent ?? "";
    if (says.test(status)) return [status, page.querySelector("button").textContent, page.getElementById("rows").innerHTML];
    await new Promise((again) => setTimeout(again, 50));
  }
};
try {
  report.untouched = await seen("index.html", /Nothing|not/);
  report.fetched = frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name);
  report.asked = await seen("index.html?model=requests&text=Where+is+my+parcel%3F", /ms for|not work|not start/);
  const texts = await (await fetch("texts.json")).json();
  report.answers = {};
  for (const model of await models()) {
    const classify = await load(model), said = [];
    for (const text of texts) said.push(await classify(text));
    report.answers[model.name] = said.map(({ label, probabilities, pieces }) => [label, probabilities, pieces]);
  }
} catch (error) { report.error = String(error.stack ?? error); }
await fetch("report", { method: "POST", body: JSON.stringify(report) });
</script>
"""


# --- without a browser ---


def test_the_libraries_are_pinned_exactly_and_no_host_is_named():
    package = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))
    for name, version in package["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    for name, entry in lock["packages"].items():
        assert "resolved" not in entry
        assert not name or entry["integrity"].startswith("sha512-")


@pytest.mark.parametrize("name", ["index.html", "try.js"])
def test_page_and_module_name_no_other_host(name):
    assert not re.search(
        r"(?:https?:)?//\w", re.sub(r"(?m)(?:^|\s)// .*$", "", (SOURCES / name).read_text("utf-8"))
    )


def test_the_page_forbids_the_browser_to_load_from_elsewhere():
    policy = re.search(
        r'Content-Security-Policy" content="([^"]+)"', (SOURCES / "index.html").read_text("utf-8")
    )[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"


def test_no_package_s_own_program_is_run():
    assert '"ci", "--ignore-scripts"' in (SOURCES / "build.py").read_text(encoding="utf-8")


def test_a_missing_npm_is_an_error_with_a_cure(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(build.BuildError, match=r"install Node\.js"):
        build.fetch_libraries(tmp_path)


# --- with one ---


@functools.cache
def chromium() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found or pytest.skip("there is no Chromium or Chrome")


def quick_model(texts: list[str], labels: list[int], classes: int):
    """The three-layer model of lesson 02; only its last layer is fitted, by logistic regression."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    place = str(ROOT / "data/models/mini-student")
    tokenizer = AutoTokenizer.from_pretrained(place)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        place, use_safetensors=True, num_labels=classes
    ).eval()
    features = []
    hook = model.pre_classifier.register_forward_hook(
        lambda *found: features.append(found[2].relu())
    )
    with torch.no_grad():
        for text in texts:
            model(**tokenizer([text], return_tensors="pt"))
        head = LogisticRegression(C=30, max_iter=300).fit(torch.cat(features).numpy(), labels)
        model.classifier.weight.zero_()
        model.classifier.bias.fill_(-30.0)  # for a class that no text has
        model.classifier.weight[head.classes_] = torch.tensor(head.coef_).float()
        model.classifier.bias[head.classes_] = torch.tensor(head.intercept_).float()
    hook.remove()
    return model, tokenizer


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """The page with a quick model of the requests."""
    chromium()
    try:
        modules = build.fetch_libraries()
    except build.BuildError as error:
        pytest.skip(str(error))
    from course_utils.data import load_task
    from course_utils.lab import PROFILES

    to = tmp_path_factory.mktemp("browser")
    rows = load_task("requests", PROFILES["mini"])
    names = rows["train"].features["label"].names
    inside = rows["train"].filter(
        lambda label: names[label] != "out_of_scope", input_columns="label"
    )
    some = inside.shuffle(seed=0).select(range(400))
    model = quick_model(some["text"][:], some["label"][:], len(names))
    for name, bits in (("requests", 8), ("reviews", 32)):  # the same model twice
        build.export(*model, names, name, to / "models" / name, bits)
    assert [model["name"] for model in build.assemble(to, modules)] == ["requests", "reviews"]
    texts = [*ODD, *rows["validation"]["text"][:]][:200]
    (to / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    (to / "check.html").write_text(CHECK, encoding="utf-8")
    return to


@pytest.fixture(scope="module")
def report(page, tmp_path_factory) -> dict:
    """What a headless browser finds on the page, every other host out of its reach."""
    reports: queue.Queue[bytes] = queue.Queue()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            reports.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--remote-debugging-port=0",  # it stays until it is ended
    ]
    handler = functools.partial(Handler, directory=str(page))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/check.html"
        command = [chromium(), *options, address]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            found = json.loads(reports.get(timeout=180))
        except queue.Empty:
            pytest.fail("the page in the browser gave no report within three minutes")
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
    assert "error" not in found, found["error"]
    return found


def python_answers(page: Path, texts: list[str], number: int = 0):
    from tokenizers import Tokenizer

    about = json.loads((page / "models.json").read_text(encoding="utf-8"))[number]
    tokenizer = Tokenizer.from_file(str(page / about["folder"] / "tokenizer.json"))
    session = onnxruntime.InferenceSession(
        str(page / about["folder"] / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    probabilities, pieces = [], []
    for text in texts:
        tokenizer.no_truncation()
        pieces.append(len(tokenizer.encode(text).ids))
        tokenizer.enable_truncation(about["limit"])
        ids = np.array([tokenizer.encode(text).ids])
        logits = session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
        powers = np.exp(logits[0] - logits.max())
        probabilities.append(powers / powers.sum())
    labels = [about["labels"][p.argmax()] for p in probabilities]
    return labels, np.array(probabilities), pieces


def compared(page, report, number, name):
    """Labels of browser and Python for each text, and the largest difference of its probabilities."""
    labels, probabilities, pieces = zip(*report["answers"][name], strict=True)
    texts = json.loads((page / "texts.json").read_text(encoding="utf-8"))
    expected_labels, expected, expected_pieces = python_answers(page, texts, number)
    assert len(texts) == len(labels) == 200 and max(pieces) > 256
    assert list(pieces) == expected_pieces
    assert len(set(labels)) > 15, "the test's model must tell the texts apart"
    gaps = np.abs(np.array(probabilities) - expected).max(1)
    other = [i for i in range(200) if labels[i] != expected_labels[i]]
    print(
        f"{name}: largest difference of a probability {gaps.max():.5f}, median {np.median(gaps):.5f}"
    )
    return other, gaps


@pytest.mark.slow
def test_the_browser_gives_python_s_answers_on_200_texts(page, report):
    other, gaps = compared(page, report, 1, "reviews")
    assert not other and gaps.max() < 0.001


@pytest.mark.slow
def test_in_8_bits_only_close_calls_may_differ(page, report):
    """A value next to the border of two whole numbers may be rounded to either: the sums differ in the last bit."""
    other, gaps = compared(page, report, 0, "requests")
    assert np.median(gaps) < 0.001 and gaps.max() < 0.15 and len(other) <= 6


@pytest.mark.slow
def test_a_visitor_sees_label_probabilities_and_milliseconds(page, report):
    [label], expected, _ = python_answers(page, ["Where is my parcel?"])
    label = label.replace("_", " ")
    status, button, table = report["asked"]
    assert re.fullmatch(rf"{label}: [\d.]+ ms for 7 pieces\.", status)
    rows = re.findall(r'<th scope="row">(.*?)</th><td>([\d.]+) %</td>', table)
    assert button == "Classify" and len(rows) == 5 and rows[0][0] == label
    assert abs(float(rows[0][1]) - 100 * expected[0].max()) < 15


@pytest.mark.slow
def test_nothing_large_is_loaded_before_somebody_asks(page, report):
    assert {urlsplit(name).path for name in report["fetched"]} <= {"/try.js", "/models.json"}
    size = json.loads((page / "models.json").read_text(encoding="utf-8"))[0]["bytes"]
    assert report["untouched"][1] == f"Load {size / 1e6:.1f} MB and classify"
