"""Install what a notebook's machine lacks, without moving anything it has. Standard library only."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path


def requirement_name(requirement: str) -> str:
    """``"evaluate>=0.4.6"`` -> ``"evaluate"``."""
    return requirement.split(";")[0].split("[")[0].split(">")[0].split("<")[0].split("=")[0].split("!")[0].strip()


def ensure_packages(root: Path) -> list[str]:
    """Install those dependencies of ``pyproject.toml`` that are missing; returns their names.

    Every installed package goes into a constraints file, so pip can add but not replace: on Colab an upgrade of
    transformers or NumPy would break other packages and want a restart.
    """
    with open(root / "pyproject.toml", "rb") as file:
        wanted = tomllib.load(file)["project"]["dependencies"]
    installed = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    missing = [r for r in wanted if requirement_name(r).lower() not in installed]
    if missing:
        with tempfile.TemporaryDirectory() as folder:
            constraints = Path(folder) / "installed.txt"
            constraints.write_text("\n".join(f"{name}=={version.split('+')[0]}" for name, version in installed.items()
                                             if name not in {"pip", "setuptools"}), encoding="utf-8")
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints), *missing], check=True)
        print("installed:", ", ".join(missing))
    return missing
