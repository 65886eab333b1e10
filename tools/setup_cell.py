# Setup: run this first. It finds the course (on Colab it fetches it) and installs what is missing.
import os
import re
import subprocess
import sys
from pathlib import Path

source = os.environ.get("COURSE_SOURCE", "https://github.com/{{repository}}")
here, signs = Path.cwd(), ("course_utils/setup.py", "tools/setup_cell.py")
home = os.environ.get("USERPROFILE") or os.environ.get("HOME") or here
new = [Path(folder) / Path("{{repository}}").name for folder in (here, home)]
folders = [here, *here.parents, *here.glob("*"), *new]
root = next((f for f in folders if all(os.access(f / s, os.R_OK) for s in signs)), None)
if root is None:
    free = [f for f in new if os.access(f.parent, os.W_OK) and not os.path.lexists(f)]
    root = (free or new)[0]
    command = ["git", "clone", "-q", "--depth", "1", "--branch", "{{branch}}", source, str(root)]
    english = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    cures = {
        r"(no|or) 2\]|xcrun": f"Install git, or unpack {source}/archive/{{branch}}.zip in {here}",
        "already exists": f"Rename or delete {root}, which is not the whole course",
        "ermission|Read-only": f"Start Jupyter in a folder that you may write to, not in {here}",
        "o space|quota": f"Free 1 GiB on the disk of {root.parent}",
        "resolve|onnect|timed out|unreachable": "Check the network",
        "not found|not exist|not appear|Username": "Check this address and its branch {{branch}}",
        "": "Read what git says",
    }
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, env=english)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip()
        cure = next(cures[sign] for sign in cures if re.search(sign, said))
        message = f"The course could not be fetched from {source}. {cure}, then run the cell again."
        raise RuntimeError(f"{message} Git said: {said}") from None
sys.path.insert(0, str(root))

from course_utils.setup import prepare

added = prepare(root)
