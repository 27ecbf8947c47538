"""The words of a certificate: what each kind says in both languages, and what is not printed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from babel.messages.pofile import read_po

from adapters.web.catalogue import LOCALE_FOLDER, Translator, load
from credentials.certificate import CertificateNotInForce, Words, certificate_view, printed_before
from credentials.copyright.registration import LICENCES
from credentials.diploma import LEVELS
from credentials.formats.pdf_render import CertificateRefused, CertificateView, render_certificate
from credentials.kinds import KINDS
from credentials.model import HeldCredential, Share
from credentials.sharing import DAY_S
from credentials.status import Status
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import parse_listed
from tests.credentials.pdf_samples import fonts

PERSON = PersonNumber("1000000000000005")
# 2026-06-30 16:30 UTC: already the first of July in Shanghai.
ISSUED_AT = 1_782_837_000
NOW = ISSUED_AT + 10 * DAY_S
CLAIMS: dict[str, dict[str, Any]] = {
    "diploma": {
        "level": "bachelor",
        "name": "𠮷田禾",
        "school_name": "湖南大学",
        "school_code": "4143010532",
        "major": "软件工程",
        "major_code": "080902",
        "student_number": "202201001",
        "duration_years": "4",
        "enrolment_date": "2022-09-01",
        "graduation_date": "2026-06-20",
        "certificate_number": "105321202605000001",
        "degree_certificate_number": "1053242026000001",
    },
    "credit_record": {
        "number": "XF2026-10532-23456789AB",
        "name": "李明",
        "school_name": "湖南大学",
        "achievement": "数据结构",
        "achievement_code": "CS-201",
        "credits_hundredths": 350,
        "hours_learned": 56,
        "grade": "优秀",
        "recognised_on": "2026-06-01",
    },
    "copyright_registration": {
        "number": "ZP2026-10532-23456789AB",
        "title": "初中物理“浮力”互动微课",
        "author": "李明",
        "school_name": "湖南大学",
        "file_sm3": "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
        "file_size": 1234,
        "licence": "CC-BY-4.0",
        "registered_on": "2026-07-01",
    },
}


def held(kind: str = "diploma", *, without: frozenset[str] = frozenset(), **changes: Any) -> HeldCredential:
    """Return a record; `changes` replace claims, `without` leaves some out."""
    rules = KINDS[kind]
    claims = {name: value for name, value in (CLAIMS[kind] | changes).items() if name not in without}
    return HeldCredential(
        id="c1", kind=kind, vct=rules.vct, number=str(claims.get("certificate_number", claims.get("number"))),
        issuer=parse_listed("4143010532"), issuer_id="https://trust.example/schools/4143010532",
        issuer_name="湖南大学", holder=PERSON, claims=claims, always=rules.always,
        selectable=tuple(name for name in rules.selectable if name in claims), issued_at=ISSUED_AT,
        status=Status.VALID, leaf_index=0,
    )  # fmt: skip


def share(record: HeldCredential, **changes: Any) -> Share:
    made = Share(
        "s1", record.id, PERSON, "7KQ2-M9XW-TB4H-D3NC", tuple(sorted(record.selectable)), NOW, NOW + 180 * DAY_S, None,
        0, None,
    )  # fmt: skip
    return replace(made, **changes)


def strict(translator: Translator) -> Words:
    """Return words that fail where the catalogue has no entry or a parameter has no value."""

    def words(code: str, **params: str | int) -> str:
        assert code in translator, code
        sentence = translator(code, **params)
        assert "{" not in sentence, sentence
        return sentence

    return words


def view_of(record: HeldCredential) -> CertificateView:
    translators = load()
    return certificate_view(
        record, share=share(record), address="https://trust.example/verify", printed_at=NOW,
        words_zh=strict(translators["zh-CN"]), words_en=strict(translators["en"]),
    )  # fmt: skip


def rows_of(record: HeldCredential) -> dict[str, tuple[str, str]]:
    return {row.label_en: (row.value, row.value_en) for row in view_of(record).rows}


def test_a_diploma_certifies_in_the_words_of_the_paper_certificate() -> None:
    view = view_of(held())
    assert view.title_zh == "毕业证书"
    assert view.holder_name == "𠮷田禾"
    assert view.statement_zh == (
        "学生𠮷田禾，于二〇二二年九月至二〇二六年六月在本校软件工程专业四年制本科学习，"
        "修完教学计划规定的全部课程，成绩合格，准予毕业。"
    )
    assert "From September 2022 to June 2026" in view.statement_en
    assert "4-year undergraduate programme" in view.statement_en


def test_a_diploma_states_number_major_level_years_dates_and_both_certificate_numbers() -> None:
    assert rows_of(held()) == {
        "Name": ("𠮷田禾", ""),
        "Student number": ("202201001", ""),
        "Major": ("软件工程", ""),
        "Level": ("本科", "Bachelor"),
        "Length of programme": ("4年", "4 years"),
        "Enrolment to graduation": ("2022年9月1日至2026年6月20日", "1 September 2022 to 20 June 2026"),
        "Certificate number": ("105321202605000001", ""),
        "Degree certificate number": ("1053242026000001", ""),
        "Date of issue": ("2026年7月1日", "1 July 2026"),
    }


def test_a_graduate_degree_is_certified_with_its_thesis_and_half_years() -> None:
    view = view_of(held(level="master", duration_years="2.5"))
    assert "研究生𠮷田禾" in view.statement_zh
    assert "学制二年半" in view.statement_zh
    assert "论文答辩通过" in view.statement_zh
    assert "2.5-year master's programme" in view.statement_en


def test_a_diploma_that_states_no_studies_claims_none() -> None:
    bare = held(without=frozenset({"major", "duration_years", "enrolment_date", "degree_certificate_number"}))
    view = view_of(bare)
    assert view.statement_zh == "学生𠮷田禾，已在本校完成学业，成绩合格，准予毕业。"
    rows = rows_of(bare)
    assert rows["Date of graduation"] == ("2026年6月20日", "20 June 2026")
    assert not {"Major", "Length of programme", "Enrolment to graduation", "Degree certificate number"} & rows.keys()


def test_a_credit_record_states_its_credits_as_a_decimal() -> None:
    record = held("credit_record")
    assert view_of(record).statement_zh == "李明取得的学习成果“数据结构”，经本校认定，计3.5学分。"
    rows = rows_of(record)
    assert rows["Credits recognised"] == ("3.5", "")
    assert rows["Hours learned"] == ("56", "")
    assert rows["Grade"] == ("优秀", "")
    assert rows["Date of recognition"] == ("2026年6月1日", "1 June 2026")


def test_a_copyright_registration_states_fingerprint_licence_and_author() -> None:
    record = held("copyright_registration")
    assert view_of(record).holder_name == "李明"
    rows = rows_of(record)
    assert rows["File digest (SM3)"] == (CLAIMS["copyright_registration"]["file_sm3"], "")
    assert rows["Licence"][1] == "CC BY 4.0"
    assert rows["Date of registration"] == ("2026年7月1日", "1 July 2026")


@pytest.mark.parametrize("kind", ["diploma", "credit_record"])
def test_it_says_that_the_nationally_recognised_record_is_kept_elsewhere(kind: str) -> None:
    view = view_of(held(kind))
    assert "学信网" in view.notice_zh
    assert "CHSI" in view.notice_en


def test_the_code_its_link_and_its_last_day_are_named() -> None:
    view = view_of(held())
    assert view.code == "7KQ2M9XWTB4HD3NC"
    assert view.link == "https://trust.example/verify/7KQ2-M9XW-TB4H-D3NC"
    assert "2027年1月7日" in view.verify_zh
    assert "7 January 2027" in view.verify_en
    assert view.as_of_zh == "信息截至2026年7月11日"


def test_braces_in_a_name_are_printed_as_they_stand() -> None:
    translators = load()
    record = held(name="{major}")
    view = certificate_view(
        record, share=share(record), address="https://trust.example/verify", printed_at=NOW,
        words_zh=translators["zh-CN"], words_en=translators["en"],
    )  # fmt: skip
    assert view.statement_zh.startswith("学生{major}，于")


EVERY = (
    [held(level=level) for level in sorted(LEVELS)]
    + [held(level=level, duration_years="1.5", enrolment_date=f"2020-{month:02}-01")
       for month, level in enumerate(sorted(LEVELS) * 3, start=1) if month <= 12]
    + [held("credit_record")]
    + [held("copyright_registration", licence=licence) for licence in sorted(LICENCES)]
)  # fmt: skip


def test_every_certificate_is_worded_in_both_languages_and_can_be_printed() -> None:
    for record in EVERY:
        view = view_of(record)
        assert all(row.value for row in view.rows)
        assert render_certificate(view, fonts=fonts()).startswith(b"%PDF-1.7")


def test_every_entry_of_the_catalogue_stands_in_both_languages_and_is_used() -> None:
    said: set[str] = set()
    translators = load()

    def noting(translator: Translator) -> Words:
        words = strict(translator)

        def noted(code: str, **params: str | int) -> str:
            said.add(code)
            return words(code, **params)

        return noted

    bare = held(without=frozenset({"major", "enrolment_date"}))
    for record in [*EVERY, bare]:
        certificate_view(
            record, share=share(record), address="a", printed_at=NOW,
            words_zh=noting(translators["zh-CN"]), words_en=noting(translators["en"]),
        )  # fmt: skip
    for language in ("zh_CN", "en"):
        with (LOCALE_FOLDER / language / "LC_MESSAGES" / "certificate.po").open("rb") as file:
            entries = {str(message.id) for message in read_po(file) if message.id}
        assert {code for code in entries if code.startswith("certificate.")} == {
            code for code in said if code.startswith("certificate.")
        }
        assert {
            "credentials.glyph_missing", "credentials.certificate_refused", "credentials.certificate_not_in_force",
            "credentials.fonts_unusable",
        } <= entries  # fmt: skip


@pytest.mark.parametrize("status", [Status.REVOKED, Status.SUSPENDED, Status.SUPERSEDED])
def test_a_record_that_is_not_in_force_is_not_printed(status: Status) -> None:
    with pytest.raises(CertificateNotInForce) as refusal:
        view_of(replace(held(), status=status))
    assert refusal.value.rule == status.name.lower()


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        ("diploma", {"graduation_date": "20 June"}, "graduation_date"),
        ("diploma", {"name": 7}, "name"),
        ("credit_record", {"credits_hundredths": "350"}, "credits_hundredths"),
        ("credit_record", {"credits_hundredths": -1}, "credits_hundredths"),
        ("copyright_registration", {"author": None}, "author"),
    ],
)
def test_a_claim_that_is_not_of_its_form_is_refused_by_its_name(kind: str, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(CertificateRefused) as refusal:
        view_of(held(kind, **changes))
    assert refusal.value.field == field


def test_an_open_code_for_the_whole_record_with_months_left_is_printed_again() -> None:
    record = held()
    assert printed_before([share(record)], record, now=NOW) == share(record)
    assert printed_before([share(record)], record, now=NOW + 30 * DAY_S - 1) == share(record)


@pytest.mark.parametrize(
    ("changes", "after_days"),
    [
        ({}, 30),
        ({"credential": "c2"}, 0),
        ({"fields": ("name",)}, 0),
        ({"view_limit": 5}, 0),
        ({"revoked_at": NOW}, 0),
        ({"valid_until": NOW + 150 * DAY_S}, 0),
    ],
)
def test_no_other_code_is_printed(changes: dict[str, Any], after_days: int) -> None:
    record = held()
    assert printed_before([share(record, **changes)], record, now=NOW + after_days * DAY_S) is None
