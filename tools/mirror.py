"""Fill a folder, such as a USB stick, with the course's data sets and models.

``make mirror TO=folder``, or ``python -m tools.mirror FOLDER [--from OTHER_MIRROR] [--data]
[--verify]``. The files come from the Hub at the pinned revisions or from another mirror. With
``COURSE_MIRROR=FOLDER`` a lesson takes them from there and needs no network.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, try_to_load_from_cache

from course_utils import spans
from course_utils.hub import DATASETS, GONE, HUB_ERRORS, MODEL_FILES, MODELS, fetch, matches, reason

SUMS = "SHA256SUMS"
SOURCES = DATASETS | spans.SOURCES


class MirrorError(Exception):
    """Nothing can be done. The message is one line: what is wrong, and what to do."""


@dataclass(frozen=True)
class Item:
    """One file: ``place`` in a mirror, and where the Hub has it."""

    place: str
    kind: str  # "model" or "dataset"
    repo: str
    revision: str
    name: str


@dataclass(frozen=True)
class Facts:
    """What the origin states about a file: its size in bytes, and its SHA-256 or git's SHA-1 of it.

    ``path`` is set where the file is on this machine already.
    """

    size: int
    digest: str
    path: Path | None = None


def wanted(data_only: bool = False) -> list[Item]:
    """Every file of the course, or of its data sets, in the order of a mirror's list."""
    models = [
        Item(f"models/{m.repo}/{name}", "model", m.repo, m.revision, name)
        for m in MODELS.values()
        for name in MODEL_FILES
    ]
    data = [
        Item((d.folder / f"{split}.parquet").as_posix(), "dataset", d.repo, d.revision, name)
        for d in SOURCES.values()
        for split, name in d.files.items()
    ]
    return sorted(data if data_only else models + data, key=lambda item: item.place)


def gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def sha256(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_right(file: Path, digest: str | None) -> bool:
    return digest is not None and file.is_file() and matches(file, digest)


def read_sums(folder: Path) -> dict[str, str]:
    """What ``SHA256SUMS`` lists: place and SHA-256. Empty where there is no such file.

    Raises MirrorError for a file of another form.
    """
    file = folder / SUMS
    if not file.is_file():
        return {}
    lines = file.read_bytes().decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not re.fullmatch(r"[0-9a-f]{64} [ *].+", line):
            raise MirrorError(
                f"{file}, line {number}: not a line of sha256sum. Delete {SUMS} and fill the "
                "mirror again."
            )
    return {line[66:]: line[:64] for line in lines}


def check_folder(folder: Path) -> None:
    """Raise MirrorError where ``folder`` or one above it is a file, or a broken link."""
    for path in (folder, *folder.parents):
        if path.is_symlink() and not path.exists():
            raise MirrorError(
                f"{path} is a link to {path.readlink()}, which isn't there. Plug that in, or "
                "remove the link."
            )
        if path.exists() and not path.is_dir():
            raise MirrorError(
                f"{path} is a file, where a folder is expected. Name another folder, or move the "
                "file away."
            )


def facts_of_hub(items: list[Item]) -> dict[str, Facts]:
    """Size and hash of each file that the Hub has. Raises MirrorError where it doesn't answer."""
    found = {}
    for kind, repo, revision in dict.fromkeys((i.kind, i.repo, i.revision) for i in items):
        try:
            info = HfApi().repo_info(
                repo, repo_type=kind, revision=revision, files_metadata=True, timeout=30
            )
        except GONE:
            continue
        except HUB_ERRORS as error:
            raise MirrorError(
                f"The Hub does not answer ({reason(error)}). Connect to the network and run the "
                "command again, or copy another mirror: --from FOLDER (make mirror TO=… FROM=…)."
            ) from error
        files = {s.rfilename: s for s in info.siblings}
        for item in items:
            if item.repo == repo and (file := files.get(item.name)):
                found[item.place] = Facts(file.size, file.lfs.sha256 if file.lfs else file.blob_id)
    return found


def facts_of_mirror(items: list[Item], mirror: Path) -> dict[str, Facts]:
    """Size and hash of each file of another mirror; where its list has the hash, that one."""
    check_folder(mirror)
    if not (mirror / "datasets").is_dir() and not (mirror / "models").is_dir():
        raise MirrorError(
            f"{mirror} is no mirror. Expected a folder with datasets/ or models/ inside."
        )
    sums = read_sums(mirror)
    here = {item.place: mirror / item.place for item in items if (mirror / item.place).is_file()}
    return {
        place: Facts(file.stat().st_size, sums.get(place) or sha256(file), file)
        for place, file in here.items()
    }


def on_disk(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    return next(p for p in (path, *path.parents) if p.exists())


def check_space(folder: Path, todo: list[Item], facts: dict[str, Facts]) -> None:
    """Raise MirrorError unless the disks have room for the copies and for the Hub's cache."""
    cache = Path(constants.HF_HUB_CACHE)
    fetched = [
        i
        for i in todo
        if not facts[i.place].path
        and not isinstance(
            try_to_load_from_cache(i.repo, i.name, revision=i.revision, repo_type=i.kind), str
        )
    ]
    needs: dict[int, tuple[Path, int]] = {}
    for path, items in ((folder, todo), (cache, fetched)):
        disk = on_disk(path).stat().st_dev
        first, size = needs.get(disk, (path, 0))
        needs[disk] = first, size + sum(facts[i.place].size for i in items)
    for path, size in needs.values():
        if size > (free := shutil.disk_usage(on_disk(path)).free):
            raise MirrorError(
                f"{path}: not enough space on its disk, {gib(size)} needed, {gib(free)} free. "
                "Nothing was written; free some space, or use a larger disk."
            )


def copy(source: Path, target: Path, digest: str) -> bool:
    """Copy a file; False where the copy's hash isn't ``digest``.

    ``target`` is replaced as a whole or not at all.
    """
    check_folder(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with open(source, "rb") as reader, open(part, "wb") as writer:
            shutil.copyfileobj(reader, writer, 2**20)
            writer.flush()
            os.fsync(writer.fileno())
        if not matches(part, digest):
            return False
        os.replace(part, target)
        return True
    finally:
        part.unlink(missing_ok=True)


def fill(folder: Path, other: Path | None = None, data_only: bool = False) -> list[str]:
    """Fill ``folder`` from the Hub or another mirror; files that are right stay as they are.

    Returns a line for each file that is wrong in the end. Raises MirrorError where nothing could
    be done, or OSError.
    """
    check_folder(folder)
    if other and folder.exists() and other.exists() and folder.samefile(other):
        raise MirrorError(
            f"{folder} can't be filled from itself. Name another folder after --from."
        )
    items = wanted(data_only)
    facts = facts_of_mirror(items, other) if other else facts_of_hub(items)
    origin = other or "the Hub"
    sums = {
        place: digest
        for place, digest in read_sums(folder).items()
        if place in {i.place for i in wanted()}
    }
    wrong = [
        f"{i.place}: {origin} lacks it" + ("" if other else f" at revision {i.revision}")
        for i in items
        if i.place not in facts and not is_right(folder / i.place, sums.get(i.place))
    ]
    items = [i for i in items if i.place in facts]
    todo = [i for i in items if not is_right(folder / i.place, facts[i.place].digest)]
    check_space(folder, todo, facts)
    bad = set()
    for number, item in enumerate(todo):
        fact = facts[item.place]
        print(f"{item.place} ({fact.size / 2**20:.1f} MiB)", flush=True)
        try:
            source = fact.path or fetch(item.repo, item.revision, [item.name], item.kind)[0]
        except HUB_ERRORS as error:
            wrong.append(f"{item.place}: could not be fetched ({reason(error)})")
            bad.update(i.place for i in todo[number:])
            break
        try:
            copied = copy(source, folder / item.place, fact.digest)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            rest = sum(facts[i.place].size for i in todo[number:])
            free = shutil.disk_usage(folder).free
            raise MirrorError(
                f"{folder}: its disk is full, {gib(rest)} more needed, {gib(free)} free. Free some "
                "space and run the command again; what has arrived is kept."
            ) from error
        if not copied:
            wrong.append(
                f"{item.place}: {source} is damaged, its hash is not the one that {origin} gives"
            )
            bad.add(item.place)
    for place in {i.place for i in items} - bad:
        digest = facts[place].digest
        sums[place] = digest if len(digest) == 64 else sha256(folder / place)
    write(folder / SUMS, "".join(f"{sums[place]}  {place}\n" for place in sorted(sums)))
    write(folder / "README.txt", readme(sums))
    return wrong


def readme(sums: dict[str, str]) -> str:
    repos = dict.fromkeys(
        f"  {i.repo} at revision {i.revision}" for i in wanted() if i.place in sums
    )
    return "\n".join(
        [
            "A mirror for the DistilBERT course, for a classroom without a network.",
            "",
            "Use it: set COURSE_MIRROR to this folder before you start JupyterLab (export "
            "COURSE_MIRROR=…).",
            "Check it: make mirror TO=… VERIFY=1 in the course's repository, or sha256sum -c "
            f"{SUMS} here.",
            "",
            "From the Hugging Face Hub; the authors' licences stand on the pages of the same "
            "names:",
            *repos,
            "",
        ]
    )


def write(file: Path, text: str) -> None:
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    with open(part, "w", encoding="utf-8", newline="\n") as writer:
        writer.write(text)
        writer.flush()
        os.fsync(writer.fileno())
    os.replace(part, file)


def verify(folder: Path, data_only: bool = False) -> list[str]:
    """Compare a mirror with its list and with the files that the course needs; a line for each that is wrong."""
    check_folder(folder)
    if not (sums := read_sums(folder)):
        raise MirrorError(
            f"{folder / SUMS} isn't there or is empty. Fill the mirror first: make mirror "
            f"TO={folder}"
        )
    wrong = []
    for place, digest in sums.items():
        if not (folder / place).is_file():
            wrong.append(f"{place}: missing")
        elif not matches(folder / place, digest):
            wrong.append(f"{place}: changed or cut off")
    return wrong + [f"{i.place}: not in {SUMS}" for i in wanted(data_only) if i.place not in sums]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.mirror", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("folder")
    parser.add_argument(
        "--from",
        dest="other",
        metavar="OTHER_MIRROR",
        help="copy this mirror instead of asking the Hub",
    )
    parser.add_argument("--data", action="store_true", help="the data sets, without the models")
    parser.add_argument(
        "--verify", action="store_true", help="only compare the folder with its list"
    )
    arguments = parser.parse_args()
    if not arguments.folder.strip():
        sys.exit("Which folder? make mirror TO=folder")
    folder = Path(arguments.folder).expanduser().absolute()
    other = Path(arguments.other).expanduser().absolute() if arguments.other else None
    try:
        wrong = (
            verify(folder, arguments.data)
            if arguments.verify
            else fill(folder, other, arguments.data)
        )
    except MirrorError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(
            f"{error.filename or folder}: {error.strerror or error}. Look at the disk, then run "
            "the command again; what has arrived is kept."
        )
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        sys.exit(
            f"{folder} is not complete. make mirror TO={folder}{' DATA=1' * arguments.data} fetches "
            "from the Hub what is wrong or missing."
        )
    print(f"{folder} is complete. Use it with COURSE_MIRROR={folder}")


if __name__ == "__main__":
    main()
