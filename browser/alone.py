"""``python browser/alone.py KIND PLACE``: one version of lesson 11 answers in a process of its own, with the network cut.

Reads a JSON object from its standard input: ``asked``, the texts to answer; ``texts`` and ``labels``, what the word
counter learns from. Prints one: ``said``, the number of the intent for each text; ``mb``, the memory of this process;
``cut``, what an attempt to reach the network met. It imports nothing of the course: what a version needs, it says here.
"""

import json
import sys
from pathlib import Path


def refuse(event, _):
    """Python calls this before it opens, binds or connects a socket, or looks up a name."""
    if event.startswith("socket."):
        raise OSError("the network is cut")


def counting_words(job):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    counting = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, max_iter=1000))
    return counting.fit(job["texts"], job["labels"]).decision_function


def with_torch(folder):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True)

    @torch.inference_mode()
    def answer(texts):
        return model(**tokenizer(texts, return_tensors="pt")).logits.numpy()

    return answer


def with_onnx(file):
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(Path(file).parent / "original/tokenizer.json"))

    def answer(texts):
        ids = np.array([tokenizer.encode(texts[0]).ids], dtype=np.int64)
        return session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]

    return answer


def main() -> None:
    import socket

    import psutil

    sys.addaudithook(refuse)
    kind, place = sys.argv[1:]
    job = json.load(sys.stdin)
    answer = {"torch": with_torch, "onnx": with_onnx}[kind](place) if place else counting_words(job)
    said = [int(answer([text]).argmax()) for text in job["asked"]]
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1)
        cut = ""
    except OSError as error:
        cut = str(error)
    print(json.dumps({"said": said, "mb": psutil.Process().memory_info().rss / 1e6, "cut": cut}))


if __name__ == "__main__":
    main()
