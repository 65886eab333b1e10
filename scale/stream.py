"""Which rows does each process get from a stream? ``torchrun … -m scale.stream FOLDER``, a folder of parquet files with ``id``.

Prints a line of JSON: for each way to read, the ids that each process met in what should be one pass.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from datasets import IterableDataset, load_dataset
from datasets.distributed import split_dataset_by_node
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from scale.train import gathered, meet

BATCH = 4


class Witness(torch.nn.Module):
    """A model that learns nothing and writes down the rows that it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.ids = torch.nn.Parameter(torch.zeros(1)), []

    def forward(self, id, labels=None):
        self.ids += id.tolist()
        return {"loss": (self.weight * id.float()).mean()}


def open_stream(folder: str) -> IterableDataset:
    files = sorted(str(file) for file in Path(folder).glob("*.parquet"))
    return load_dataset("parquet", data_files=files, split="train", streaming=True)


def seen_by_trainer(stream: IterableDataset, steps: int) -> list[int]:
    witness = Witness()
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder,
            use_cpu=True,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            remove_unused_columns=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(witness, settings, train_dataset=stream)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return witness.ids


def main() -> None:
    meet()
    rank, world = dist.get_rank(), dist.get_world_size()
    folder = sys.argv[1]
    rows = sum(1 for _ in open_stream(folder))
    steps = rows // (BATCH * world)

    def mine() -> IterableDataset:
        return split_dataset_by_node(open_stream(folder), rank=rank, world_size=world)

    seen = {
        "split, then Trainer": seen_by_trainer(mine(), steps),
        "whole stream to Trainer": seen_by_trainer(open_stream(folder), steps),
        "split, own loop": [row["id"] for row in mine()],
    }
    found = {way: gathered(ids) for way, ids in seen.items()}
    if rank == 0:
        print(json.dumps(found), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
