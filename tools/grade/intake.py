"""Who handed in what: a folder or zip as a learning platform exports it. Nothing of a student's is opened or unpacked here.

The owner comes from the export's own names, the outer ones. A roster decides where one is given. Without roster and without a
known pattern two files are two people: nobody's work is taken for somebody else's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from course_utils.tables import DataError, decode, read_csv

FILE_BYTES, STUDENT_BYTES, STUDENT_FILES, NAME = 20 * 2**20, 40 * 2**20, 50, 200
DAY = r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d"
NUMBERED = [  # what Moodle, Blackboard, Canvas and Brightspace call a folder or a file of an export
    r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)",
    rf".+_(?P<number>[^_]+)_attempt_(?P<when>{DAY})(?:_(?P<file>.+)|(?P<note>\.txt))",
    r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<number>\d{3,})_\d{3,}_(?P<file>.+)",
    r"(?P<number>\d+)-\d+ ?- (?P<name>.+?) ?- "
    r"(?P<when>\w{3} \d\d?, \d{4} \d{3,4} [AP]M)(?: - (?P<file>.+))?",
]
# no number: it counts only where the roster has the name
CLASSROOM = re.compile(r"(?P<name>[^\d_]+ [^\d_]+?) - (?P<file>.+)")
SKIPPED = {"__MACOSX", ".ipynb_checkpoints", "__pycache__", ".DS_Store"}


def printable(text: str) -> str:
    """Without control characters, bidirectional marks and halves of characters."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else "�" for c in unicodedata.normalize("NFC", plain))


def words(text: str) -> list[str]:
    """The text's words in small letters, without accents."""
    plain = unicodedata.normalize("NFKD", text).replace("_", " ")
    return re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)).lower())


@dataclass(frozen=True)
class Person:
    """``key`` is safe for files and stays over the term where a roster gives the id."""

    name: str
    number: str = ""
    email: str = ""
    on_roster: bool = False

    @property
    def label(self) -> str:
        shown = self.number not in ("", self.name) and not self.on_roster
        return f"{self.name} ({self.number})" if shown else self.name

    @property
    def key(self) -> str:
        text = self.number if self.on_roster else self.label
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        plain = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-").lower()[:40] or "student"
        if self.on_roster and plain == text:
            return plain
        return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"

    @property
    def entry(self) -> dict[str, str]:
        """What nbgrader keeps of the person."""
        return {"key": self.key, "name": self.name, "email": self.email}


class Roster:
    """The class list: a CSV with the columns id, name and email, however they are spelt.

    Raises ValueError, which names file, line and cure, where it can't be read or a column or an id is missing.
    """

    def __init__(self, file: Path | None = None):
        self.people: list[Person] = []
        if not file:
            return
        header = r"\A(sep=.\r?\n)?[^\n]*"  # Excel writes such a line above it
        try:
            text = decode(file, file.read_bytes())
            text = re.sub(header, lambda match: match[0].lower().replace(" ", ""), text)
            table = read_csv(file, text, ["id", "name"], None)
        except DataError as error:  # from where its message names load_own, it is for learners
            why = re.sub(r"[.;] [^.;]*load_own\(.*", ".", str(error), flags=re.S)
            raise ValueError(f"{why} Expected a CSV with the columns id, name and email.") from None
        emails = table.columns.get("email", [""] * len(table.lines))
        rows = zip(table.columns["id"], table.columns["name"], emails, strict=True)
        for place, row in enumerate(rows, start=1):
            number, name, email = map(str.strip, row)
            if not (number and name):
                raise ValueError(f"{table.place(place)}: id and name must be filled in.")
            self.people.append(Person(name, number, email, on_roster=True))
        if len({p.key for p in self.people}) < len(self.people):
            raise ValueError(f"{file}: an id stands there twice.")

    def find(self, number: str, texts: list[str]) -> Person | None:
        """The one person with this id, or whose id, e-mail or name stands in one of the texts; nobody where two would fit."""
        if same := [p for p in self.people if number and p.number == number]:
            return same[0]
        for text in filter(None, [number, *texts]):
            low, found = text.lower(), set(words(text))
            exact = [p for p in self.people if low in (p.number.lower(), p.email.lower())]
            if text == number:  # a user name is often the first part of the address
                exact = exact or [p for p in self.people if p.email.lower().startswith(f"{low}@")]
            inside = [p for p in self.people if found.issuperset(words(p.name))]
            long = [p for p in self.people if len(p.number) > 3]
            inside += [p for p in long if p.number.lower() in found.difference(words(p.name))]
            joined = [p for p in self.people if low in joined_names(p.name)]
            for fits in (exact, inside, joined):
                if len({p.key for p in fits}) == 1:
                    return fits[0]
        return None


def joined_names(name: str) -> set[str]:
    """``Ada Lovelace`` as Canvas writes it: lovelaceada."""
    plain = words(name)
    return {"".join(plain[place:] + plain[:place]) for place in range(len(plain))}


@dataclass
class File:
    """A file of the export. ``outcome`` is set once: "graded", or the reason why it is not."""

    path: PurePosixPath
    changed: float = 0.0
    content: object = None  # Path, or (ZipFile, ZipInfo)
    outcome: str = ""
    order: str = ""
    late: bool = False

    @property
    def when(self) -> float:
        """When it was handed in, by the platform's name for it, else the file's own time; 0 where neither says it."""
        with contextlib.suppress(ValueError):
            return datetime.strptime(self.order, "%Y-%m-%d-%H-%M-%S").timestamp()
        return self.changed

    def read(self) -> bytes:
        """At most FILE_BYTES, whatever the archive claims. Raises ValueError beyond."""
        plain = isinstance(self.content, Path)
        with open(self.content, "rb") if plain else self.content[0].open(self.content[1]) as file:
            data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise ValueError(
                f"larger than {FILE_BYTES // 2**20} MiB; clear the outputs (Edit, Clear Outputs of All Cells), save, and "
                "hand it in again"
            )
        return data


@dataclass
class HandIn:
    """All files of one person in this export, oldest first. ``folder`` is where the platform takes feedback files back."""

    person: Person
    files: list[File] = field(default_factory=list)
    folder: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def late(self) -> bool:
        return any(f.late for f in self.files)

    def compare(self, due: datetime) -> None:
        """Name what came after the date."""
        for file in self.files:
            file.late = file.late or file.when > due.timestamp()
        if (hours := (max(file.when for file in self.files) - due.timestamp()) / 3600) > 0:
            self.notes.append(
                f"late by {hours / 24:.1f} days" if hours > 48 else f"late by {hours:.1f} h"
            )

    def contents(self) -> list[tuple[str, bytes]]:
        """(name, bytes) of what can be read; the others get their outcome."""
        found, total = [], 0
        for file in self.files:
            if file.outcome:
                continue
            if len(found) == STUDENT_FILES or total > STUDENT_BYTES:
                file.outcome = f"more than {STUDENT_FILES} files or {STUDENT_BYTES // 2**20} MiB by one student"
                continue
            try:
                data = file.read()
            except Exception as error:  # a damaged archive raises whatever its decompressor raises
                why = printable(str(error) or type(error).__name__)[:200]
                file.outcome = f"can't be read: {why}"
                continue
            total += len(data)
            found.append((str(file.path), data))
        return found


def shortened(name: str) -> tuple[PurePosixPath, str]:
    """The path with at most NAME characters a part, and what is wrong with it."""
    parts = [printable(p[:NAME]) for p in name[: 50 * NAME].split("/") if p not in ("", ".", "..")]
    long = max(map(len, name.split("/")))
    too_long = long > NAME or len(name) > 50 * NAME
    return PurePosixPath(*parts[:20]), f"a name of {long:,} characters" if too_long else ""


def folder_files(top: Path) -> Iterator[File]:
    """Every entry below ``top``. A link is named, not followed; a pipe or a device is named, not opened."""

    def named(place: Path) -> tuple[PurePosixPath, str]:
        name = place.relative_to(top).as_posix()
        return shortened(name.encode("utf-8", "backslashreplace").decode())

    unreadable: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=unreadable.append):
        for place in [Path(folder) / name for name in sorted(folders + names)]:
            (path, problem), status = named(place), place.lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            if stat.S_ISLNK(status.st_mode):
                problem = "a symbolic link; hand in the file itself"
            elif not stat.S_ISREG(status.st_mode):
                problem = "a pipe or a device, no file"
            yield File(path, status.st_mtime, place, problem)
    for error in unreadable:
        yield File(named(Path(error.filename))[0], outcome="a folder that can't be read")


def zip_files(archive: zipfile.ZipFile) -> Iterator[File]:
    for info in archive.infolist():
        if info.is_dir():
            continue
        name = info.filename
        # without the UTF-8 mark Python reads CP437, while most programs wrote UTF-8
        if not info.flag_bits & 0x800:
            with contextlib.suppress(UnicodeEncodeError, UnicodeDecodeError):
                name = name.encode("cp437").decode("utf-8")
        name = name.replace("\\", "/")
        path, problem = shortened(name)
        changed, mode = 0.0, info.external_attr >> 16
        with contextlib.suppress(ValueError):  # some programs write no date: month 0
            changed = datetime(*info.date_time).timestamp()  # zips have no zone: this computer's
        if ".." in name.split("/") or name.startswith("/") or ":" in name.split("/")[0]:
            problem = "a path that leads out of the archive"
        elif mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
            problem = "a symbolic link, a pipe or a device; hand in the file itself"
        yield File(path, changed, (archive, info), problem)


def matches(part: str) -> re.Match | None:
    return next(filter(None, (re.fullmatch(pattern, part) for pattern in NUMBERED)), None)


def owner(path: PurePosixPath, top: int, roster: Roster) -> tuple[Person, re.Match | None, str]:
    """(who, what the platform wrote, where feedback goes) for a file of the export."""
    parts = path.parts
    for place, part in enumerate(parts):
        if match := matches(part):
            said = match.groupdict()
            name, number = (said.get("name") or said["number"]).strip(), said["number"]
            # Moodle's number is the hand-in's, no student's
            listed = "" if "_assignsubmission_" in part else number
            person = roster.find(listed, [name]) or Person(name, number)
            return person, match, part if place < len(parts) - 1 else ""
    below = parts[top:]
    match = CLASSROOM.fullmatch(below[-1])
    texts = [match["name"]] if match else []
    if person := roster.find("", [*texts, *parts[:-1], PurePosixPath(below[-1]).stem]):
        return person, None, "/".join(below[:-1])
    if len(below) == 3 and re.fullmatch(r"lesson_(\d\d|appendix_\w+)", below[1]):  # nbgrader's own
        return Person(below[0]), None, "/".join(below[:-1])
    return Person(str(PurePosixPath(*below).with_suffix(""))), None, "/".join(below[:-1])


def common_top(paths: list[PurePosixPath]) -> int:
    """How many leading folders all files share and so name nobody: an export is often one folder in a zip."""
    top = 0
    while all(len(p.parts) > top + 1 for p in paths) and len({p.parts[top] for p in paths}) == 1:
        if matches(paths[0].parts[top]):
            break
        top += 1
    return top


def read_export(source: Path, roster: Roster) -> list[HandIn]:
    """Everybody's files, in a fixed order. Raises FileNotFoundError and ValueError where ``source`` is no export."""
    if not source.exists():
        raise FileNotFoundError(
            f"{source}: there is no such file or folder. Give the folder or zip of your platform."
        )
    if source.is_dir():
        files = list(folder_files(source))
    else:
        try:
            files = list(zip_files(zipfile.ZipFile(source)))
        except Exception as error:
            raise ValueError(
                f"{source}: neither a folder nor a readable zip ({error}). Export the submissions again."
            ) from None
    files = [f for f in files if f.path.parts and not SKIPPED & set(f.path.parts)]
    files = [f for f in files if not f.path.name.startswith("._")]
    if not files:
        raise ValueError(
            f"{source}: no file in it. Give the folder or zip that your platform exported."
        )
    top, people = common_top([f.path for f in files]), {}
    for file in files:
        person, match, folder = owner(file.path, top, roster)
        said = match.groupdict() if match else {}
        when = said.get("when") or ""
        file.late, file.order = bool(said.get("late")), when if when[:1].isdigit() else ""
        if said.get("note") or "_assignsubmission_onlinetext" in str(file.path):
            file.outcome = "the platform's own note beside the hand-in"
        hand_in = people.setdefault(person.key, HandIn(person))
        if match and "_assignsubmission_" in match[0] and not folder:  # Moodle without folders
            folder = match[0].partition("_assignsubmission_")[0] + "_assignsubmission_file_"
        hand_in.folder = hand_in.folder or folder
        if roster.people and not person.on_roster:
            hand_in.notes = ["not on the roster"]
        hand_in.files.append(file)
    for hand_in in people.values():
        hand_in.files.sort(key=lambda f: (f.order, f.changed, version(f.path), str(f.path)))
    return [people[key] for key in sorted(people)]


def version(path: PurePosixPath) -> int:
    """Which copy a file name says it is: ``work (2).ipynb`` is copy 2, ``work.ipynb`` copy 0."""
    match = re.search(r"(?:\((\d+)\)|-(\d+)|- ?(?:Copy|Kopie) ?(\d*))$", path.stem)
    return int((match[1] or match[2] or match[3] or "1")[:9]) if match else 0
