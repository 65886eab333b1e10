"""What the cpu and gpu profiles do, with a model of the published size whose weights are random.

Nothing is said here about quality: random weights have none. Everything else is the same as with the published ones.
"""

import re
import shutil

import numpy as np
import pytest
import torch
from conftest import MINI, write_parquet
from hub_server import HubServer
from test_faults_hub import README, learner
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizerFast,
    Trainer,
    TrainingArguments,
)

from course_utils import hub as course_hub
from course_utils.data import load_task
from course_utils.lab import start_lab
from course_utils.metrics import ClassificationMetrics

PARAMETERS = 66_955_010  # DistilBERT base with a classification head for two classes


@pytest.fixture(scope="session")
def full_size_mirror(tmp_path_factory):
    """A mirror with a full-size model and about 60 short reviews."""
    folder = tmp_path_factory.mktemp("mirror")
    model_folder = folder / "models/distilbert/distilbert-base-uncased"
    torch.manual_seed(0)
    DistilBertForSequenceClassification(DistilBertConfig()).base_model.save_pretrained(model_folder)
    tokenizer = DistilBertTokenizerFast(
        vocab=str(MINI / "vocab.txt"), do_lower_case=True, model_max_length=512
    )
    tokenizer.save_pretrained(model_folder)
    shutil.copy(MINI / "vocab.txt", model_folder)
    reviews = folder / "datasets/stanfordnlp/imdb"
    for split, rows in (("train", 44), ("test", 16)):
        write_parquet(
            reviews / f"{split}.parquet",
            label=[i % 2 for i in range(rows)],
            text=[f"A {('poor', 'fine')[i % 2]} film, {split} {i}." for i in range(rows)],
        )
    yield folder
    shutil.rmtree(folder)  # a quarter of a gigabyte; pytest would keep three of them


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_a_full_size_lesson_trains_saves_and_loads_again(
    name, full_size_mirror, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("COURSE_MIRROR", str(full_size_mirror))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("course_utils.precision.has_native_bf16", lambda: False)
    lab = start_lab("05", profile=name)
    assert lab.checkpoint == str(full_size_mirror / "models/distilbert/distilbert-base-uncased")
    reviews = load_task("reviews", lab.profile)
    assert f"Lesson 05 · profile {name} (the notebook asks for it)" in capsys.readouterr().out
    assert {split: len(reviews[split]) for split in reviews} == {
        "train": 39,
        "validation": 5,
        "test": 16,
    }

    tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)
    model = AutoModelForSequenceClassification.from_pretrained(
        lab.checkpoint, revision=lab.revision, use_safetensors=True, num_labels=2
    )
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS
    long = tokenizer("film " * 1000, truncation=True, max_length=lab.profile.max_length)[
        "input_ids"
    ]
    assert len(long) == {"cpu": 256, "gpu": 512}[name]

    tokens = reviews.map(
        lambda batch: tokenizer(batch["text"], truncation=True, max_length=lab.profile.max_length),
        batched=True,
        remove_columns="text",
    )
    metrics = ClassificationMetrics()
    arguments = TrainingArguments(
        output_dir=str(lab.workdir),
        max_steps=2,
        learning_rate=lab.profile.learning_rate,
        report_to="none",
        per_device_train_batch_size=lab.profile.batch_size,
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **lab.precision_arguments,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=tokens["train"],
        eval_dataset=tokens["validation"],
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=lambda p: metrics.compute(
            predictions=p.predictions.argmax(-1), references=p.label_ids
        ),
    )
    before = model.distilbert.transformer.layer[5].ffn.lin2.weight.detach().clone()
    result = trainer.train()
    assert result.global_step == 2 and 0.3 < result.training_loss < 1.5
    moved = (model.distilbert.transformer.layer[5].ffn.lin2.weight - before).abs().max().item()
    assert (
        0 < moved < 3 * lab.profile.learning_rate
    )  # AdamW moves a weight by about the learning rate a step

    scores = trainer.evaluate()
    assert 0 <= scores["eval_accuracy"] <= 1 and np.isfinite(scores["eval_loss"])
    predictions = trainer.predict(tokens["test"]).predictions
    assert predictions.shape == (16, 2)

    trainer.save_model(str(tmp_path / "saved"))
    again = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "saved", use_safetensors=True
    ).eval()
    batch = AutoTokenizer.from_pretrained(tmp_path / "saved")(
        list(reviews["test"]["text"]), padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = again(**batch).logits.numpy()
    shutil.rmtree(tmp_path / "saved")
    np.testing.assert_allclose(logits, predictions, atol=1e-5)


LOAD = """
checkpoint, revision = checkpoint_of("model", PROFILES["cpu"])
model = AutoModel.from_pretrained(checkpoint, revision=revision, use_safetensors=True)
tokenizer = AutoTokenizer.from_pretrained(checkpoint, revision=revision)
print(sum(p.numel() for p in model.parameters()), tokenizer("a film")["input_ids"])
reviews = load_task("reviews", PROFILES["cpu"])
"""
SAME = """
from datasets import load_dataset
whole = load_dataset("stanfordnlp/imdb", revision="{revision}", split="test")
print(len(whole), set(reviews["test"]["text"]) <= set(whole["text"]))
"""


@pytest.fixture(scope="module")
def full_size_hub(full_size_mirror, mirror_folder, tmp_path_factory):
    """A Hub on this machine with a model of the published size and the real IMDb, and a learner's process that asks it."""
    folder, home = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("home")
    (folder / "models").symlink_to(full_size_mirror / "models")
    reviews = folder / "datasets/stanfordnlp/imdb"
    reviews.mkdir(parents=True)
    described = "".join(
        line for line in README.splitlines(keepends=True) if "unsupervised" not in line
    )
    (reviews / "README.md").write_text(described, encoding="utf-8")
    for split in ("train", "test"):
        (reviews / f"{split}.parquet").symlink_to(
            mirror_folder / f"datasets/stanfordnlp/imdb/{split}.parquet"
        )
    with HubServer(folder) as hub, learner(hub, home, timeout=8) as run:
        yield hub, run, home / "hf"
    shutil.rmtree(home)


@pytest.mark.slow
@pytest.mark.parametrize(
    "faults",
    [
        [],
        [("cut", "model.safetensors"), ("cut", "train-00000")],
        [("wrong", "model.safetensors"), ("wrong", "test-00000")],
        [(503, "model.safetensors", "HEAD"), ("drop", "test-00000")],
        [("pause", "model.safetensors"), (429, "train-00000")],
    ],
    ids=["sound", "cut off", "wrong content", "503 and hung up", "stalled and told to wait"],
)
def test_the_cpu_profile_loads_a_full_size_model_and_the_real_reviews_through_a_faulty_hub(
    full_size_hub, faults
):
    hub, run, cache = full_size_hub
    shutil.rmtree(cache, ignore_errors=True)
    for fault in faults:
        hub.fail(*fault, retry_after=2) if len(fault) == 3 else hub.fail(*fault, "GET", 1, 2)
    answer = run(
        LOAD + ("" if faults else SAME.format(revision=course_hub.DATASETS["reviews"].revision))
    )
    assert not answer.message, answer.message
    parameters, *_ = answer.printed.split()
    assert int(parameters) == PARAMETERS - 768 * 768 - 768 - 2 * 768 - 2  # without the head
    told = (
        r"reviews: train 2,000, validation 500, test 2,000 .*\(Hub, stanfordnlp/imdb at e628166\)"
    )
    found = re.search(told, answer.printed)
    assert found, answer.printed
    assert all(fault.times == 0 for fault in hub.faults)
    if not faults:
        assert answer.printed.split()[-2:] == ["25000", "True"]
