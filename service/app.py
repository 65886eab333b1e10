"""A text classifier behind HTTP. From top to bottom: settings, model, schemas, metrics, queue, gate, app, start and stop.

A request passes four stations. The *gate* reads a body of limited size and counts what comes and goes. The *schema*
says what a request must look like. The *queue* is bounded: a text waits there or is refused at once. The *worker* takes
what waits, up to ``batch`` texts for one forward pass. Texts are never logged.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import logging
import math
import re
import time
import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, StrictStr
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tokenizers import Tokenizer

FILES = ("model.onnx", "tokenizer.json", "labels.json")
# Bytes of an oversized body that are read and thrown away, so that its sender reads the answer.
DRAINED = 32 * 2**20

UNREADABLE = 'The body is no JSON that can be read. Send {"text": "…"}.'
FAILED = "The service failed on this request. The fault is not yours."
# Page breaks of a PDF, soft line breaks of a mail, wrongly decoded apostrophes: real texts have them. The tokenizer
# would drop them, and join the words on both sides.
CONTROLS = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
log = logging.getLogger("service")


# --- settings ---


@dataclass(frozen=True)
class Settings:
    """Each has a variable of the environment: ``SERVICE_PORT=9000``, ``SERVICE_BATCH=16``."""

    model: Path = Path("build/service")
    host: str = "127.0.0.1"  # this machine alone; a container sets 0.0.0.0 behind its own wall
    port: int = 8000  # 0: any free one
    max_body: int = 16_384  # bytes of a request
    max_characters: int = 2_000  # of a text
    max_pieces: int = 64  # of a text that the model reads; the rest is cut, and the answer says so
    queue: int = 64  # texts that may wait
    timeout: float = 2.0  # seconds that a text may wait, and that a body may take to arrive
    batch: int = 1  # texts in one forward pass; above 1 it is micro-batching
    threads: int = 1  # of ONNX Runtime
    grace: float = 0.0  # seconds between the signal to stop and the last new request

    def __post_init__(self) -> None:
        least = {"port": 0, "grace": 0, "max_pieces": 3}
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            where = f"SERVICE_{name.upper()}={value}"
            if isinstance(value, int) and value < least.get(name, 1):
                raise ValueError(f"{where}: the least value is {least.get(name, 1)}.")
            if isinstance(value, float) and not (
                math.isfinite(value) and value >= 0 and (value or name in least)
            ):
                floor = "0 or more" if name in least else "more than 0"
                raise ValueError(f"{where}: it must be a number of seconds, {floor}.")
        if self.port > 65_535:
            raise ValueError(f"SERVICE_PORT={self.port}: the largest value is 65535.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **chosen: Any) -> Settings:
        """What ``chosen`` names, else what the environment says, else the default.

        A variable that begins with ``SERVICE_`` and is no setting is logged as a warning; it may be another program's.

        Raises ValueError for a variable that isn't of its setting's type or range.
        """
        known = {f"SERVICE_{setting.name.upper()}": setting for setting in fields(cls)}
        for name in sorted(environment):
            if name.startswith("SERVICE_") and name not in known:
                near = difflib.get_close_matches(name, known, 1)
                meant = f" Did you mean {near[0]}?" if near else ""
                log.warning("%s is no setting of the service, and is ignored.%s", name, meant)
        for name, setting in known.items():
            kind = type(setting.default)
            if name in environment and setting.name not in chosen:
                try:
                    chosen[setting.name] = kind(environment[name])
                except ValueError:
                    raise ValueError(
                        f"{name}={environment[name]!r} is no {kind.__name__}."
                    ) from None
        return cls(**chosen)


# --- model ---


def version_of(folder: Path) -> str:
    """Twelve digits that change when any of the three files does."""
    return hashlib.sha256(b"".join((folder / n).read_bytes() for n in FILES)).hexdigest()[:12]


class Classifier:
    """The int8 model and its tokenizer: texts in, probabilities out. No PyTorch is needed.

    Raises FileNotFoundError for a folder without a model, ValueError for a ``max_pieces`` that the model can't read,
    for labels that aren't the model's, and for files that are replaced while they are read.
    """

    def __init__(self, folder: Path, max_pieces: int = 64, threads: int = 1) -> None:
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise FileNotFoundError(
                f"{folder} has no {', '.join(missing)}. Make it with: python -m service.export {folder}"
            )
        self.version = version_of(folder)
        self.labels: list[str] = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        least = self.tokenizer.num_special_tokens_to_add(is_pair=False) + 1
        if max_pieces < least:  # the tokenizer would cut nothing at all
            raise ValueError(f"SERVICE_MAX_PIECES={max_pieces}: the least value is {least}.")
        self.tokenizer.enable_truncation(max_pieces)
        self.tokenizer.enable_padding(pad_id=self.tokenizer.token_to_id("[PAD]"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        try:  # the longest text that it may get
            columns = self.probabilities(["a " * max_pieces])[0].shape[1]
        except Exception as error:
            raise ValueError(
                f"SERVICE_MAX_PIECES={max_pieces}: the model in {folder} fails on a text of that many pieces. BERT and "
                f"DistilBERT read at most 512; choose a smaller value. ({type(error).__name__})"
            ) from error
        if columns != len(self.labels):
            raise ValueError(
                f"{folder}/labels.json has {len(self.labels)} labels, model.onnx answers with {columns}. Export both anew."
            )
        if version_of(folder) != self.version:
            raise ValueError(f"{folder} was replaced while it was read. Start again.")

    def probabilities(self, texts: Sequence[str]) -> tuple[np.ndarray, list[bool]]:
        """Shape (texts, labels), and which texts were cut at ``max_pieces``."""
        encoded = self.tokenizer.encode_batch([CONTROLS.sub(" ", text) for text in texts])
        inputs = {
            "input_ids": np.array([e.ids for e in encoded], dtype=np.int64),
            "attention_mask": np.array([e.attention_mask for e in encoded], dtype=np.int64),
        }
        (logits,) = self.session.run(["logits"], inputs)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True), [bool(e.overflowing) for e in encoded]

    def __call__(self, texts: Sequence[str]) -> list[Answer]:
        probabilities, cut = self.probabilities(texts)
        return [
            Answer(
                label=self.labels[int(row.argmax())],
                confidence=float(row.max()),
                truncated=was_cut,
                model=self.version,
            )
            for row, was_cut in zip(probabilities, cut, strict=True)
        ]


# --- schemas ---


class Ask(BaseModel):
    """What a caller sends; anything else in it is refused."""

    model_config = ConfigDict(extra="forbid")
    text: StrictStr


class Answer(BaseModel):
    """What a caller gets. ``model`` says which files answered: a log can't mix two versions up."""

    label: str
    confidence: float
    truncated: bool
    model: str


def refusal(text: str, limit: int) -> tuple[int, str] | None:
    """Why a text is not classified, as status and words; None for one that is."""
    if len(text) > limit:
        return 413, f"The text has {len(text):,} characters; at most {limit:,} are read."
    kinds = [unicodedata.category(c) for c in text]
    for place, (character, kind) in enumerate(zip(text, kinds, strict=True)):
        if kind == "Cs" or character == "\0":  # half of a pair; what ends a text in C
            words = f"Character {place} is U+{ord(character):04X}, which no text has."
            return 422, f"{words} Send plain text."
    if not any(c.isprintable() and not c.isspace() for c in text):
        return 422, "The text is empty."
    return None


def in_words(error: RequestValidationError) -> tuple[int, str]:
    """The first thing that is wrong with a body."""
    first = error.errors()[0]
    kind, where = first["type"], [str(part)[:40] for part in first["loc"][1:]]
    if kind == "json_invalid":
        return 400, UNREADABLE
    if kind == "missing" and where:
        return 422, f'The field "{where[0]}" is missing.'
    if kind == "extra_forbidden":
        return 422, f'There is no field {json.dumps(where[0])}; only "text".'
    if kind in ("string_type", "string_unicode") and where:
        return 422, f'"{where[0]}" must be a text in valid Unicode.'
    return 422, 'Send {"text": "…"} with the header Content-Type: application/json.'


def said(status: int, words: str, retry: int | None = None) -> JSONResponse:
    headers = {"Retry-After": str(retry)} if retry else None
    return JSONResponse({"error": words}, status, headers)


# --- metrics ---


class Metrics:
    """What Prometheus reads. Received = answered, all statuses + left before the answer + in progress."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        shared: dict[str, Any] = {"registry": self.registry, "namespace": "service"}
        self.received = Counter("received", "Requests to /predict", **shared)
        self.answered = Counter("answered", "Answers by status", ["status"], **shared)
        self.left = Counter("left", "Callers who left before the answer", **shared)
        self.progress = Gauge("in_progress", "Requests without an answer yet", **shared)
        self.waiting = Gauge("waiting", "Texts in the queue", **shared)
        self.seconds = Histogram(
            "seconds",
            "From request to answer; refusals are quick, so read each status by itself",
            ["status"],
            buckets=[0.001 * 2**n for n in range(13)],
            **shared,
        )
        self.batches = Histogram(
            "batch_texts", "Texts in a forward pass", buckets=[1, 2, 4, 8, 16, 32], **shared
        )
        self.confidence = Histogram(
            "confidence", "Of answers", buckets=[n / 20 for n in range(1, 21)], **shared
        )
        self.labels = Counter("labels", "Answers by label", ["label"], **shared)

    def totals(self) -> dict[str, int]:
        """How many requests were received, and how many answered, over all statuses."""
        return {
            name: sum(
                int(s.value) for s in counter.collect()[0].samples if s.name.endswith("_total")
            )
            for name, counter in (("received", self.received), ("answered", self.answered))
        }


# --- queue ---


@dataclass
class Job:
    """A text that waits, and the promise of its answer."""

    text: str
    answer: asyncio.Future[Answer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Worker:
    """One task that answers what waits in a bounded queue."""

    def __init__(self, classify: Classifier, settings: Settings, metrics: Metrics) -> None:
        self.classify, self.batch, self.metrics = classify, settings.batch, metrics
        self.queue: asyncio.Queue[Job] = asyncio.Queue(settings.queue)
        self.began: float | None = None  # the pass that is running
        self.patience = max(30.0, 10 * settings.timeout)

    def stuck(self) -> bool:
        """Whether a pass has taken so long that it won't end."""
        return self.began is not None and time.monotonic() - self.began > self.patience

    async def run(self) -> None:
        while True:
            jobs = [await self.queue.get()]
            while len(jobs) < self.batch and not self.queue.empty():
                jobs.append(self.queue.get_nowait())  # take who waits, wait for none
            self.metrics.waiting.set(self.queue.qsize())
            jobs = [job for job in jobs if not job.answer.done()]  # who gave up is skipped
            if jobs:
                await self.answer(jobs)

    async def answer(self, jobs: list[Job]) -> None:
        self.metrics.batches.observe(len(jobs))
        self.began = time.monotonic()
        try:  # in a thread, so that the server goes on listening
            answers = await asyncio.to_thread(self.classify, [job.text for job in jobs])
        except Exception as error:  # these texts fail with status 500; the worker lives on
            for job in jobs:
                if not job.answer.done():
                    job.answer.set_exception(error)
            return
        finally:
            self.began = None
        for job, answer in zip(jobs, answers, strict=True):
            if not job.answer.done():
                job.answer.set_result(answer)


# --- gate ---


class Gate:
    """Around the app, for /predict: bodies of limited size and patience, and the books of what came and went."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, state: Any) -> None:
        self.app, self.settings, self.metrics, self.state = app, settings, metrics, state

    async def body(self, receive: Receive) -> tuple[bytes, int]:
        """What came of the body, and its size so far. Past ``max_body`` nothing is kept."""
        kept, size, more = b"", 0, True
        while more and size <= DRAINED:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            size += len(message.get("body", b""))
            kept = kept + message["body"] if size <= self.settings.max_body else b""
            more = message.get("more_body", False)
        return kept, size

    async def gone(self, receive: Receive) -> Message:
        """Return when the connection is closed, or the answer is complete."""
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/predict":
            return await self.app(scope, receive, send)
        began, metrics, started = time.perf_counter(), self.metrics, False
        metrics.received.inc()

        async def booked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                metrics.answered.labels(message["status"]).inc()
                metrics.seconds.labels(message["status"]).observe(time.perf_counter() - began)
                if self.state.stopping:  # callers should turn to another server
                    message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        with metrics.progress.track_inprogress():
            try:
                async with asyncio.timeout(self.settings.timeout):
                    body, size = await self.body(receive)
            except TimeoutError:
                return await said(408, "The request took too long to arrive.")(
                    scope, receive, booked
                )
            except ConnectionError:
                return metrics.left.inc()
            if size > (most := self.settings.max_body):
                answer = said(413, f"The request is larger than {most:,} bytes.")
                return await answer(scope, receive, booked)
            whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

            leaving = asyncio.create_task(self.gone(receive))

            async def replay() -> Message:
                return whole.pop() if whole else await asyncio.shield(leaving)

            answering = asyncio.ensure_future(self.app(scope, replay, booked))
            try:
                await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done() and not started:  # nobody is there to read an answer
                    return metrics.left.inc()
                await answering
            except Exception:  # answered here, since Starlette's own answer would not be booked
                if started:
                    raise
                log.exception("A request failed.")
                await said(500, FAILED)(scope, receive, booked)
            finally:
                answering.cancel()
                leaving.cancel()
                await asyncio.gather(answering, leaving, return_exceptions=True)


# --- app ---


def create_app(settings: Settings) -> FastAPI:
    """The whole service as an ASGI app, for uvicorn, for Ray Serve, or for a test without a port."""
    metrics = Metrics()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        classify = Classifier(settings.model, settings.max_pieces, settings.threads)
        for texts in (["warm"], ["a warm start"] * settings.batch):  # no caller meets a cold model
            classify(texts)
        app.state.worker = Worker(classify, settings, metrics)
        app.state.task = asyncio.create_task(app.state.worker.run())
        yield
        app.state.task.cancel()

    # No /docs: its page loads scripts from another host. /openapi.json has the schemas.
    app = FastAPI(title="intents", lifespan=life, docs_url=None, redoc_url=None)
    app.state.stopping = False
    app.state.metrics = metrics
    app.add_middleware(Gate, settings=settings, metrics=metrics, state=app.state)

    @app.post("/predict")
    async def predict(ask: Ask) -> Answer:
        if refused := refusal(ask.text, settings.max_characters):
            raise HTTPException(*refused)
        worker, job = app.state.worker, Job(ask.text)
        try:
            worker.queue.put_nowait(job)
        except asyncio.QueueFull:
            raise HTTPException(429, "Too many texts wait already.", {"Retry-After": "1"}) from None
        metrics.waiting.set(worker.queue.qsize())
        try:
            # On a timeout, and when the caller leaves, the answer is cancelled; the worker skips the text.
            async with asyncio.timeout(settings.timeout):
                answer = await job.answer
        except TimeoutError:
            words = f"No answer within {settings.timeout:g} s."
            raise HTTPException(503, words, {"Retry-After": "2"}) from None
        metrics.confidence.observe(answer.confidence)
        metrics.labels.labels(answer.label).inc()
        return answer

    def dead() -> bool:
        return app.state.task.done() or app.state.worker.stuck()

    @app.get("/healthz")
    async def alive() -> Response:
        """Whether to leave this process alone: a supervisor restarts it where not."""
        return said(500, "The worker has stopped.") if dead() else JSONResponse({"alive": True})

    @app.get("/readyz")
    async def ready() -> Response:
        """Whether to send requests here: a load balancer leaves this process out where not."""
        if app.state.stopping or dead():
            return said(503, "This process takes no requests.", retry=1)
        return JSONResponse({"ready": True, "model": app.state.worker.classify.version})

    @app.get("/metrics")
    async def measured() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")

    @app.exception_handler(RequestValidationError)
    async def misshapen(_: Request, error: RequestValidationError) -> JSONResponse:
        return said(*in_words(error))

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: StarletteHTTPException) -> JSONResponse:
        words = error.detail if error.status_code != 400 else UNREADABLE
        return JSONResponse({"error": words}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return said(500, FAILED)

    return app


# --- start and stop ---


class Server(uvicorn.Server):
    """At SIGTERM: not ready from now on, no new connection ``grace`` seconds later, every accepted request answered."""

    def __init__(self, config: uvicorn.Config, state: Any, grace: float) -> None:
        super().__init__(config)
        self.state, self.grace, self.stop_at = state, grace, float("inf")

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"ready at http://{host}:{port}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.state.stopping:  # the second signal is in a hurry
            return super().handle_exit(sig, frame)
        self.state.stopping, self.stop_at = True, time.monotonic() + self.grace

    async def on_tick(self, counter: int) -> bool:
        self.should_exit = self.should_exit or time.monotonic() >= self.stop_at
        return await super().on_tick(counter)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises what ``Classifier`` raises, before anything listens.
    """
    Classifier(settings.model, settings.max_pieces)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.timeout) + 10,
    )
    Server(config, app.state, settings.grace).run()
    books = app.state.metrics.totals()
    print(
        f"stopped: {books['received']} requests received, {books['answered']} answered", flush=True
    )
