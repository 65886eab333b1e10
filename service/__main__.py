"""``python -m service --model FOLDER``: everything else comes from the environment (see ``Settings``)."""

import argparse
import os
from pathlib import Path

from service.app import Settings, serve

parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
parser.add_argument(
    "--model", type=Path, help="folder with model.onnx, tokenizer.json, labels.json"
)
parser.add_argument("--port", type=int, help="0 takes any free one, and says which")
asked = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
try:
    serve(Settings.from_environment(os.environ, **asked))
except (ValueError, OSError) as error:
    raise SystemExit(f"service: {error}") from None
