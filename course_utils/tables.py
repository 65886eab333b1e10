"""Read a table with texts (CSV, JSON lines, parquet), each value exactly as it is written."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from course_utils.quotes import swallowed_rows

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
FORMATS = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt"), "CSV"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "JSON lines"),
    ".parquet": "parquet",
}
csv.field_size_limit(2**31 - 1)  # the default refuses a text of more than 131,072 characters


class DataError(ValueError):
    """A data file can't be used. The message names file and row, what is wrong, and the cure."""


@dataclass(frozen=True)
class Table:
    """``columns`` maps a name to its values; ``lines`` has the line on which each row begins.

    ``lines`` is empty where the file isn't text; ``form`` says how the file was read.
    """

    file: Path
    columns: dict[str, list]
    lines: Sequence[int] = ()
    form: str = "parquet"

    def row(self, number: int) -> str:
        """A row's name in a message; the first row below the header has the number 1."""
        return f"row {number} (line {self.lines[number - 1]})" if self.lines else f"row {number}"

    def place(self, number: int) -> str:
        return f"{self.file}, {self.row(number)}"


def read_table(
    file: Path, needed: Sequence[str], encoding: str | None = None, delimiter: str | None = None
) -> Table:
    """Read one file and check its form: the columns, the length of each row, the quotation marks.

    Parameters
    ----------
    file : its ending says what it is: .csv, .tsv, .txt, .jsonl, .json or .parquet.
    needed : columns that must be there; the last of several is the column with the labels.
    encoding : of a text file; by default UTF-8, or UTF-16 where a byte order mark says so.
    delimiter : of a CSV file; by default the one with which the header has the needed columns.

    Returns
    -------
    Table. Values of CSV files are strings. Numbers of JSON files are strings too, as they are
    written; class numbers of a parquet file are the names that the file has for them.

    Raises
    ------
    DataError : for a file that can't be read, or read only in part.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: can't be opened ({error.strerror}). Correct the path.") from None
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):  # .xlsx (a zip file) and .xls
        raise DataError(f"{file}: this is an Excel workbook. Save the sheet as 'CSV UTF-8'.")
    form = FORMATS.get(file.suffix.lower())
    if form is None:
        raise DataError(f"{file}: unknown kind of file. Expected one of {', '.join(FORMATS)}.")
    if form == "parquet":
        return read_parquet(file, raw, needed)
    content = decode(file, raw, encoding)
    if form == "JSON lines":
        return read_json(file, content, needed)
    return read_csv(file, content, needed, delimiter)


def decode(file: Path, raw: bytes, encoding: str | None = None) -> str:
    """Decode a file; its byte order mark is left out. Raises DataError."""
    marked = [name for mark, name in BYTE_ORDER_MARKS.items() if raw.startswith(mark)]
    if not encoding and not marked and (place := raw.find(b"\0")) >= 0:
        row = row_at(raw[:place].count(b"\n"))
        guess = "utf-16-le" if place % 2 else "utf-16-be"
        raise DataError(
            f"{file}, {row}: a byte 0 is not text. Save the file with the encoding UTF-8; if it is "
            f'UTF-16 without a byte order mark, load_own(..., encoding="{guess}") reads it.'
        )
    encoding = encoding or (marked[0] if marked else "utf-8")
    try:
        content = raw.decode(encoding).removeprefix("\ufeff")  # where the encoding leaves the mark
        is_utf = codecs.lookup(encoding).name.startswith("utf")
    except LookupError:
        raise DataError(f"{file}: there is no encoding {encoding!r}. Try 'cp1252'.") from None
    except UnicodeDecodeError as error:
        start = raw.rfind(b"\n", 0, error.start) + 1
        row = row_at(raw[: error.start].count(b"\n"))
        hint = "If you know its encoding, name it: load_own(..., encoding=...)."
        if encoding.startswith("utf-8") and "\ufffd" not in raw.decode("cp1252", "replace"):
            line = raw[start:].split(b"\n", 1)[0].decode("cp1252").strip()
            hint = (
                'If this line is right as Windows-1252, load_own(..., encoding="cp1252") reads the '
                f"file: {line[:200]}"
            )
        raise DataError(
            f"{file}, {row}: byte 0x{error.object[error.start]:02x} is not "
            f"{encoding.upper().removesuffix('-SIG')}. "
            f"Save the file with the encoding UTF-8 (in Excel: 'CSV UTF-8'). {hint}"
        ) from None
    if not (is_utf or raw.isascii() or "\ufffd" in raw.decode("utf-8", "replace")):
        raise DataError(
            f"{file}: this file is UTF-8, and read as {encoding!r} its letters would become "
            "others. Name no encoding for it."
        )
    if "\0" in content:
        row = row_at(content[: content.index("\0")].count("\n"))
        raise DataError(f"{file}, {row}: a character 0 is not text. Save the file as UTF-8.")
    return content


def row_at(breaks: int) -> str:
    return f"row {breaks} (line {breaks + 1})" if breaks else "line 1"


def check_columns(where: object, found: Sequence[str], needed: Sequence[str]) -> None:
    for name in needed:
        if name not in found:
            raise DataError(
                f"{where}: no column {name!r}; it has {', '.join(map(repr, found)) or 'none'}. "
                "Rename the right column, name it in load_own(..., text=..., label=...), or fetch "
                "the right file."
            )


def check_repeated(where: object, found: Sequence[str]) -> None:
    if twice := sorted({name for name in found if list(found).count(name) > 1}):
        raise DataError(
            f"{where}: two columns are named {', '.join(map(repr, twice))}. Delete or rename one."
        )


def find_delimiter(content: str, needed: Sequence[str]) -> str:
    """The delimiter with which the header has the needed columns, or else the most columns."""

    def fit(delimiter: str) -> tuple[bool, int]:
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
        header = next(filter(None, reader), [])
        return set(needed) <= set(header), len(header)

    return max(DELIMITERS, key=fit)


def read_csv(file: Path, content: str, needed: Sequence[str], delimiter: str | None) -> Table:
    line = 1
    if excels_line := re.match(r"sep=(.)\r?\n", content):  # Excel writes it, and reads it
        delimiter, content, line = excels_line[1], content[excels_line.end() :], 2
    delimiter = delimiter or find_delimiter(content, needed)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    rows, lines, before = [], [], line - 1
    try:
        for cells in reader:
            if cells:
                if not rows:
                    check_columns(f"{file}, line {line}", cells, needed)
                rows.append(cells)
                lines.append(line)
            line = before + reader.line_num + 1
    except csv.Error as error:
        where = f"row {len(rows)}" if rows else "the header"
        raise DataError(
            f"{file}, {where} (line {line}): not readable as CSV ({error}, in line "
            f"{before + reader.line_num}). A quotation mark opens in this row and is never closed, "
            "or only many rows later: close or delete it. A text that holds quotation marks stands "
            "between two of its own, and those inside are doubled."
        ) from None
    if len(rows) < 2:
        raise DataError(
            f"{file}: no rows. Expected a header with {','.join(needed)} and at least one row."
        )
    header, *rows = rows
    while header and all(len(c) == len(header) and not c[-1] for c in (header, *rows)):
        for cells in (header, *rows):  # Excel writes columns without a name and a value
            cells.pop()
    check_repeated(f"{file}, line {lines[0]}", header)
    columns: dict[str, list] = {}
    form = f"{DELIMITERS.get(delimiter, repr(delimiter))}-separated"
    table = Table(file, columns, lines[1:], form)
    for number, cells in enumerate(rows, start=1):
        if len(cells) != len(header):
            raise DataError(
                f"{table.place(number)}: {len(header)} columns expected, {len(cells)} found. Put "
                f"quotation marks around a text that contains the delimiter {delimiter!r}."
            )
    if found := swallowed_rows(rows, header.index(needed[-1]), delimiter):
        number, inside = found
        raise DataError(
            f"{table.place(number)}: a quotation mark opens in this row and is closed "
            f"{len(inside) - 1} lines below, so that whole rows lie inside one cell; the "
            f"last one begins {inside[-1][:60]!r}. Close or delete the quotation mark. If "
            "these lines do belong to one text, save the file as JSON lines."
        )
    columns |= {name: [cells[i] for cells in rows] for i, name in enumerate(header)}
    return table


def read_json(file: Path, content: str, needed: Sequence[str]) -> Table:
    """JSON lines, one object a row; or one list of objects."""
    whole = content.lstrip().startswith("[")
    pieces = [content] if whole else content.split("\n")
    rows, lines = [], []
    for number, piece in enumerate(pieces, start=1):
        if not piece.strip():
            continue
        try:
            value = json.loads(piece, parse_int=str, parse_float=str, object_pairs_hook=once_each)
            json.dumps(value, ensure_ascii=False).encode()  # refuses half a character ("\\ud83d")
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{file}, row {len(rows) + 1} (line {number}): not readable as JSON ({error}). "
                "Expected one object with names and values on each line."
            ) from None
        rows += value if whole else [value]
        lines += [] if whole else [number]
    if not rows:
        raise DataError(f"{file}: no rows. Expected an object with {', '.join(needed)} a line.")
    table = Table(file, {}, lines, "JSON lines")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{table.place(number)}: not an object with {', '.join(needed)}.")
        check_columns(table.place(number), list(row), needed)
    names = dict.fromkeys(name for row in rows for name in row)
    return Table(file, {n: [r.get(n) for r in rows] for n in names}, lines, "JSON lines")


def once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"a name stands twice: {', '.join(names)}")
    return dict(pairs)


def read_parquet(file: Path, raw: bytes, needed: Sequence[str]) -> Table:
    """The needed columns of a parquet file."""
    try:
        table = pq.read_table(pa.BufferReader(raw))  # by its path, "a=1/" would become a column
        check_columns(file, table.column_names, needed)
        check_repeated(file, table.column_names)
        columns = {name: table[name].to_pylist() for name in needed}
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # a date of no year
        reason, *_ = [*str(error).splitlines(), "no reason given"]
        raise DataError(
            f"{file}: not readable as parquet ({reason}). Copy the file again; an interrupted "
            "copy leaves a part of it."
        ) from None
    if not table.num_rows:
        raise DataError(f"{file}: no rows. Expected at least one; copy the file again.")
    label = needed[-1]
    if names := names_in(table.schema, label):
        for number, value in enumerate(columns[label], start=1):
            if value not in range(len(names)):
                raise DataError(
                    f"{file}, row {number}: unknown label {value!r}. The file has names for 0 to "
                    f"{len(names) - 1}; give the row one of these labels, or delete it."
                )
        columns[label] = [names[int(value)] for value in columns[label]]
    return Table(file, columns)


def names_in(schema: pa.Schema, column: str) -> list[str] | None:
    """The names of a ClassLabel column, which ``datasets`` keeps in a file's metadata, or None."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else None


def readable(text: str) -> bool:
    """Whether ``text`` has a sign that can be seen: more than white space and invisible ones."""
    return any(sign.isprintable() and not sign.isspace() for sign in text)


def check_text(where: str, column: str, text: object) -> None:
    """Raise DataError unless ``text`` is a text that a model can read."""
    if text is not None and not isinstance(text, str):
        raise DataError(
            f"{where}: column {column!r} holds a {type(text).__name__}, not a text. Name the "
            "column with the texts, or fetch the right file."
        )
    if not text or not readable(text):
        raise DataError(
            f"{where}: the text in column {column!r} is empty. A model can't learn from it: write "
            "a text or delete the row."
        )
