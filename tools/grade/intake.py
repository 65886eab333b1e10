"""Read submissions as a learning platform exports them: a folder or a zip, whatever the names. Nothing is unpacked to disk."""

from __future__ import annotations

import calendar
import contextlib
import hashlib
import io
import json
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

NOTEBOOK_LIMIT = 20 * 2**20  # bytes of one notebook, unpacked
ARCHIVE_LIMIT = 2 * 2**30  # bytes of all notebooks together
MOODLE = re.compile(r"^(?P<name>.+?)_(?P<number>\d+)_assignsubmission_(?:file|onlinetext)_?$")
CANVAS = re.compile(r"^(?P<name>[^_]+)(?P<late>_LATE)?_(?P<number>\d+)_\d+_(?P<file>.+)$")
COPY = re.compile(r"\s*(?:\((\d+)\)|-(\d+)|- ?Copy ?(\d*)|-Kopie ?(\d*))$")


@dataclass
class Submission:
    """One student's notebook, or the reason why there is none. ``student`` is a name as the platform wrote it."""

    student: str
    file: str  # where it came from, for people
    data: bytes = b""
    changed: float = 0.0  # seconds since 1970, as the file or the archive says
    late: bool = False
    problem: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def number(self) -> str:
        """The platform's number for the student or the hand-in, where it writes one."""
        match = re.search(r" \((\d+)\)$", self.student)
        return match[1] if match else ""

    @property
    def key(self) -> str:
        """A name that is safe for files and unique: letters of the name, and a mark of all of it."""
        plain = unicodedata.normalize("NFKD", self.student).encode("ascii", "ignore").decode()
        plain = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-").lower()[:40] or "student"
        return f"{plain}-{hashlib.sha256(self.student.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Entry:
    """A file of the export: its path below the top, how to read it, and when it was written."""

    path: PurePosixPath
    size: int
    changed: float
    content: object  # Path, or (ZipFile, ZipInfo)
    problem: str = ""

    def read(self) -> bytes:
        """At most NOTEBOOK_LIMIT bytes, whatever the archive claims about its sizes. Raises ValueError beyond."""
        if isinstance(self.content, Path):
            with open(self.content, "rb") as file:
                data = file.read(NOTEBOOK_LIMIT + 1)
        else:
            archive, info = self.content
            with archive.open(info) as file:
                data = file.read(NOTEBOOK_LIMIT + 1)
        if len(data) > NOTEBOOK_LIMIT:
            raise ValueError(
                f"larger than {NOTEBOOK_LIMIT // 2**20} MiB unpacked; clear the outputs (Edit, Clear Outputs of All Cells), "
                "save, and hand it in again"
            )
        return data


def folder_entries(top: Path) -> Iterator[Entry]:
    """Files below ``top``. A symbolic link is named, not followed: it may point at somebody else's work."""
    for path in sorted(top.rglob("*")):
        printable = path.relative_to(top).as_posix().encode("utf-8", "backslashreplace").decode()  # names in another encoding
        below = PurePosixPath(unicodedata.normalize("NFC", printable))
        if path.is_symlink():
            yield Entry(below, 0, 0.0, path, "a symbolic link; hand in the file itself")
        elif path.is_file():
            status = path.stat()
            yield Entry(below, status.st_size, status.st_mtime, path)


def zip_name(info: zipfile.ZipInfo) -> str:
    """The entry's name; without the archive's UTF-8 mark Python reads CP437, while most programs wrote UTF-8."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeEncodeError, UnicodeDecodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def zip_entries(file: Path | io.BytesIO, inside: str = "") -> Iterator[Entry]:
    """Files of an archive, with archives inside it (a student's own zip) opened once."""
    archive = zipfile.ZipFile(file)
    for info in archive.infolist():
        if info.is_dir():
            continue
        name = PurePosixPath(zip_name(info))
        parts = [p for p in name.parts if p not in ("/", ".")]
        mode = info.external_attr >> 16
        changed = 0.0
        with contextlib.suppress(ValueError):  # some programs write no date: month 0
            changed = calendar.timegm((*info.date_time, 0, 0, 0))
        path = PurePosixPath(inside, *[p for p in parts if p != ".."])
        if ".." in parts or name.is_absolute() or (parts and ":" in parts[0]):
            yield Entry(path, 0, changed, (archive, info), "a path that leads out of the archive")
        elif stat.S_ISLNK(mode):
            yield Entry(path, 0, changed, (archive, info), "a symbolic link; hand in the file itself")
        else:
            yield Entry(path, info.file_size, changed, (archive, info))


def opened(entries: Iterator[Entry]) -> Iterator[Entry]:
    """The same files, with a zip that a student handed in replaced by what is in it."""
    for entry in entries:
        if entry.path.suffix.lower() != ".zip" or entry.problem:
            yield entry
            continue
        try:
            inner = list(zip_entries(io.BytesIO(entry.read()), str(entry.path.with_suffix(""))))
        except Exception as error:  # a damaged archive raises whatever its decompressor raises
            yield Entry(entry.path, 0, entry.changed, entry.content, f"a zip that can't be read ({error})")
            continue
        yield from inner or [Entry(entry.path, 0, entry.changed, entry.content, "an empty zip")]


def common_top(paths: list[PurePosixPath]) -> int:
    """How many leading folders all files share and so name no student: an export is often one folder in a zip."""
    shared = 0
    one_student = len({COPY.sub("", p.stem) for p in paths}) == 1  # copies of one notebook: the folder is the student
    while (
        all(len(p.parts) > shared + 1 for p in paths)
        and len({p.parts[shared] for p in paths}) == 1
        and not MOODLE.match(paths[0].parts[shared])
        and not (one_student and {len(p.parts) for p in paths} == {shared + 2})
    ):
        shared += 1
    return shared


def owner(path: PurePosixPath) -> tuple[str, bool]:
    """(student, handed in late) of a file: by Moodle's folders, Canvas's file names, else the first folder or the name."""
    for part in path.parts[:-1]:
        if match := MOODLE.match(part):
            return f"{match['name']} ({match['number']})", False
    if match := CANVAS.match(path.name):
        return f"{match['name']} ({match['number']})", bool(match["late"])
    if len(path.parts) > 1:
        return path.parts[0], False
    return COPY.sub("", path.stem), False


def version(path: PurePosixPath) -> int:
    """Which copy a file name says it is: ``work (2).ipynb`` is copy 2, ``work.ipynb`` copy 0."""
    match = COPY.search(path.stem)
    return max((int(g) if g else 1 for g in match.groups() if g is not None), default=1) if match else 0


def read_submissions(source: Path) -> list[Submission]:
    """All notebooks of an export, in a fixed order; what can't be read comes back with its ``problem``.

    Raises
    ------
    FileNotFoundError : ``source`` isn't there.
    ValueError : it is neither a folder nor a zip, or holds no file.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such file or folder. Give the folder or zip of your platform.")
    if source.is_dir():
        entries = list(opened(folder_entries(source)))
    else:
        try:
            entries = list(opened(zip_entries(source)))
        except Exception as error:
            raise ValueError(
                f"{source}: neither a folder nor a readable zip ({error}). Export the submissions again."
            ) from None
    skipped = {"__MACOSX", ".ipynb_checkpoints", "__pycache__"}
    entries = [e for e in entries if not skipped & set(e.path.parts) and not e.path.name.startswith(("._", ".DS_Store"))]
    if not entries:
        raise ValueError(f"{source}: no file in it. Give the folder or zip that your platform exported.")
    found, total, top = [], 0, common_top([e.path for e in entries])
    for entry in entries:
        path = PurePosixPath(*entry.path.parts[top:])
        student, late = owner(path)
        one = Submission(student, str(entry.path), changed=entry.changed, late=late, problem=entry.problem)
        if not one.problem and path.suffix.lower() != ".ipynb":
            one.problem = f"{path.suffix or 'a file without ending'} is no notebook; hand in the .ipynb file"
        if not one.problem:
            try:
                one.data = entry.read() if total < ARCHIVE_LIMIT else b""
            except Exception as error:
                one.problem = f"can't be read: {str(error) or type(error).__name__}"
            total += len(one.data)
            if total >= ARCHIVE_LIMIT:
                one.problem = f"all notebooks together are larger than {ARCHIVE_LIMIT // 2**30} GiB; grade them in parts"
        found.append(one)
    return sorted(found, key=lambda s: (s.student, s.changed, version(PurePosixPath(s.file)), s.file))


def parse(submission: Submission) -> dict | None:
    """The notebook's JSON, or None with ``problem`` set."""
    if submission.problem:
        return None
    try:
        notebook = json.loads(submission.data.decode("utf-8-sig"))
        cells = notebook["cells"]
        if not isinstance(cells, list) or not all(isinstance(c, dict) for c in cells):
            raise TypeError("its cells are no list")
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        submission.problem = (
            f"not readable as a notebook ({type(error).__name__}: {str(error)[:120]}); "
            "download it again from Jupyter or Colab and hand it in"
        )
        return None
    except (KeyError, TypeError) as error:
        submission.problem = f"no notebook: {error}; hand in the .ipynb file of the lesson"
        return None
    return notebook
