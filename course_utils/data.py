"""``load_task``: the same task from embedded files, a mirror or the Hub, in three clean splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets

from course_utils import hub
from course_utils.lab import ROOT, Profile, choose_profile
from course_utils.splits import SPLITS, cut, separate
from course_utils.tables import DataError, Table, check_text, read_table

OUT_OF_SCOPE = ("out_of_scope", "oos")  # the class of texts that belong to no other, and CLINC's


@dataclass(frozen=True)
class Task:
    """The columns and class names of a task's files.

    ``text`` is the column with the texts, ``labels`` the class names in the order of their
    numbers. On the Hub and in a mirror ``hub_label`` is the column with the labels, and
    ``hub_labels`` are the class names; None means the names that the files give, sorted.
    """

    text: str
    labels: tuple[str, ...]
    hub_label: str
    hub_labels: tuple[str, ...] | None

    def out_of_scope(self, labels: Sequence[str]) -> str:
        """Which of the class ``labels`` holds the texts that belong to no other class.

        Raises KeyError where the task has no such class.
        """
        for name in OUT_OF_SCOPE:
            if name in labels:
                return name
        raise KeyError(f"None of these classes is for texts out of scope: {', '.join(labels)}.")


INTENTS = """
    cancel_order change_address change_order complaint_service damaged_item delete_account
    delivery_cost delivery_time discount_code exchange_item gift_card invoice_request
    login_problem missing_item newsletter_stop opening_hours out_of_scope payment_failed
    payment_methods product_advice product_availability refund_status return_item ship_abroad
    spare_parts talk_to_person track_order update_details warranty_repair wrong_charge wrong_item
"""
TASKS = {
    "reviews": Task("text", ("neg", "pos"), "label", ("neg", "pos")),
    "messages": Task("sms", ("ham", "spam"), "label", ("ham", "spam")),
    "requests": Task("text", tuple(INTENTS.split()), "intent", None),
}


def load_task(name: str, profile: Profile | None = None, seed: int = 0) -> datasets.DatasetDict:
    """Load a task and print where it came from.

    Parameters
    ----------
    name : ``"reviews"`` (columns text, label), ``"messages"`` (columns sms, label) or
        ``"requests"`` (columns text, label). The embedded sets have further columns: ``kind`` of
        reviews and messages, ``film`` of reviews, ``writer`` of requests.
    profile : decides source and number of rows; by default the one of ``start_lab``.
    seed : chooses the rows where a split is cut to the profile's size or made from train.

    Returns
    -------
    DatasetDict with train, validation and test. No text stands in two of them, and each has at
    least two rows of every class. ``features["label"].names`` has the class names, which differ
    between the embedded requests and CLINC150.

    Raises
    ------
    DataError : for a file that can't be used; nothing is returned half-read.
    KeyError : for a task that doesn't exist.
    """
    if name not in TASKS:
        raise KeyError(f"There is no task {name!r}. Choose one of: {', '.join(TASKS)}.")
    profile = profile or choose_profile()[0]
    task, source = TASKS[name], hub.DATASETS[name]
    files, origin = find_files(source, profile, embedded_files(ROOT / "data" / name))
    tables, splits = read_splits(files, task)
    splits = separate(splits, tables, task.text, seed)
    out = datasets.DatasetDict({s: cut(splits[s], profile.rows[s], seed) for s in SPLITS})
    print(f"{name}: " + ", ".join(f"{s} {len(out[s]):,}" for s in SPLITS) + f" ({origin})")
    return out


def find_files(
    source: hub.HubDataset, profile: Profile, embedded: dict[str, Path]
) -> tuple[dict[str, Path], str]:
    """The file of each split, and the name of its origin: mirror, course or Hub."""
    if folder := hub.mirror():
        return mirror_files(source, folder), f"mirror, {source.repo}"
    if profile.source == "embedded":
        return embedded, "embedded, written for this course"
    return hub_files(source), f"Hub, {source.repo} at {source.revision[:7]}"


def embedded_files(folder: Path) -> dict[str, Path]:
    return {split: folder / f"{split}.csv" for split in SPLITS}


def from_embedded(name: str, folder: Path) -> dict[str, datasets.Dataset]:
    """Read ``train.csv``, ``validation.csv`` and ``test.csv`` of a folder, each row checked."""
    return read_splits(embedded_files(folder), TASKS[name])[1]


def read_splits(
    files: Mapping[str, Path], task: Task
) -> tuple[dict[str, Table], dict[str, datasets.Dataset]]:
    """Each split's file as it stands, and as a data set with its rows checked."""
    tables = {split: read_split(file, task) for split, file in files.items()}
    names = class_names(tables, task)
    return tables, {s: to_dataset(table, task.text, names) for s, table in tables.items()}


def read_split(file: Path, task: Task) -> Table:
    """Read an embedded CSV file (all columns) or a parquet file as on the Hub (text and label).

    The column with the labels is called "label" in what comes back.
    """
    if not file.is_file():
        raise DataError(f"{file}: this file is missing. Fetch the course's repository again.")
    if file.suffix == ".csv":
        return read_table(file, (task.text, "label"), encoding="utf-8-sig", delimiter=",")
    table = read_table(file, (task.text, task.hub_label))
    table.columns["label"] = table.columns.pop(task.hub_label)
    return table


def class_names(tables: Mapping[str, Table], task: Task) -> Sequence[str]:
    """The class names of a task's files in the order of their numbers."""
    table = tables["train"]
    names = task.labels if table.file.suffix == ".csv" else task.hub_labels
    if names is not None:
        return names
    labels = [label for table in tables.values() for label in table.columns["label"]]
    if not all(isinstance(label, str) for label in labels):
        raise DataError(
            f"{table.file}: column {task.hub_label!r} has class numbers without names. Fetch the "
            "file again from the Hub, where it holds the names."
        )
    return sorted(set(labels))


def to_dataset(table: Table, text: str, names: Sequence[str]) -> datasets.Dataset:
    """A table as a split, each row's text and label checked; ``names`` are those of the classes."""
    numbers = []
    rows = zip(table.columns[text], table.columns["label"], strict=True)
    for row, (value, name) in enumerate(rows, start=1):
        check_text(table.place(row), text, value)
        if name not in names and (isinstance(name, str) or name not in range(len(names))):
            raise DataError(
                f"{table.place(row)}: unknown label {name!r}. Expected one of {', '.join(names)}; "
                "correct the label, or fetch the right file."
            )
        numbers.append(names.index(name) if isinstance(name, str) else int(name))
    features = {c: datasets.Value("string") for c in table.columns}
    features["label"] = datasets.ClassLabel(names=list(names))
    return datasets.Dataset.from_dict(
        table.columns | {"label": numbers}, features=datasets.Features(features)
    )


def mirror_files(source: hub.HubDataset, folder: Path) -> dict[str, Path]:
    """A data set's files in a mirror; ``train_subset`` where ``train`` is missing, and prints it."""
    files = {}
    for split in source.files:
        file = folder / source.folder / f"{split}.parquet"
        if split == "train" and not file.is_file():
            subset = file.with_stem("train_subset")
            if subset.is_file():
                print("  the mirror has only a part of the training split: train_subset")
                file = subset
        if not file.is_file():
            raise DataError(
                f"{file}: the mirror lacks this file. Expected the splits "
                f"{', '.join(source.files)} of {source.repo}; fill the mirror again, or unset "
                "COURSE_MIRROR."
            )
        files[split] = file
    return files


def hub_files(source: hub.HubDataset) -> dict[str, Path]:
    """Download a data set at its pinned revision, or find it in the Hub's cache."""
    try:
        paths = hub.fetch(source.repo, source.revision, source.files.values(), "dataset")
    except hub.HUB_ERRORS as error:
        raise DataError(hub.failure(source, error)) from error
    return dict(zip(source.files, paths, strict=True))
