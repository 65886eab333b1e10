"""Install what a notebook's machine lacks, without moving anything it has. Standard library only."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path


def requirement_name(requirement: str) -> str:
    """``"Huggingface_Hub>=1.0"`` -> ``"huggingface-hub"``: without versions, spelt as PEP 503 says."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement.strip())[0]).lower()


def ensure_packages(root: Path) -> list[str]:
    """Install those dependencies of ``pyproject.toml`` that are missing; returns their names.

    Every installed package goes into a constraints file, so pip can add but not replace: on Colab an upgrade of
    transformers or NumPy would break other packages and want a restart.
    """
    wanted = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    installed: dict[str, str] = {}
    for d in importlib.metadata.distributions():
        if d.metadata["Name"]:  # Colab has some packages twice, the system's old one last: the first is the one in use
            installed.setdefault(requirement_name(d.metadata["Name"]), d.version)
    missing = [r for r in wanted if requirement_name(r) not in installed]
    if missing:
        with tempfile.TemporaryDirectory() as folder:
            constraints = Path(folder) / "installed.txt"
            constraints.write_text("\n".join(f"{name}=={version.split('+')[0]}" for name, version in installed.items()
                                             if name not in {"pip", "setuptools"}), encoding="utf-8")
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), *missing], check=True)
        print("installed:", ", ".join(missing))
    return missing
