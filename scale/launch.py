"""Start a program of this folder in several processes of this machine, from a notebook or a test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def torchrun(
    module: str, *arguments: object, processes: int = 2, restarts: int = 0
) -> list[dict[str, Any]]:
    """Run ``module`` in ``processes`` processes that know of one another; the JSON lines that it prints.

    Raises
    ------
    RuntimeError : where the run fails; with the end of what it wrote to its standard error.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--local-addr", "127.0.0.1", "--nproc-per-node", str(processes)]
    command += ["--max-restarts", str(restarts), "-m", module, *map(str, arguments)]
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    environment = {
        "OMP_NUM_THREADS": "1",  # a thread a process, or they fight for the cores
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",  # a restart forgets the addresses of the dead
    }
    if os.name == "posix":
        environment["GLOO_SOCKET_IFNAME"] = loopback  # gradients never leave this machine
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=900
    )
    if done.returncode:  # the worker's own words stand before torchrun's report on it
        words = re.split(r"^E\d{4} .*exitcode", done.stderr, flags=re.M)
        raise RuntimeError(
            f"{module} ended with {done.returncode}:\n{words[max(0, len(words) - 2)][-2000:]}"
        )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
