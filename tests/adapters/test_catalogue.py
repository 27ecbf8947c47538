"""Every message a person can meet stands in both languages, says the same, and is written in one of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.web.catalogue import (
    LOCALE_FOLDER,
    PLACEHOLDER,
    CatalogueError,
    Translator,
    language_of,
    language_of_header,
    load,
)
from adapters.web.render import TEMPLATE_FOLDERS

ROOT = Path(__file__).parents[2]
PACKAGES = ("crypto", "ledger", "idp", "credentials", "adapters")
HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
# A language names itself in its own tongue, so that its reader finds it (W3C, "Links to other language versions").
OWN_NAMES = frozenset({"language.zh-CN", "language.en"})
# English sentences that must quote Chinese, and why.
QUOTES_CHINESE = {
    "verify.chsi": "the name by which the site is found",
    "credentials.rule.level_unknown": "the values a file must hold, to the letter",
    "registry.row_refused.kind": "the values a file must hold, to the letter",
}
QUOTED = re.compile(r"“[^”]*”")  # a command or a value, quoted inside a Chinese sentence
CHINESE_PUNCTUATION = re.compile(r"[，。；：！？（）《》“”、]")
# Two English words side by side in a Chinese sentence; names of standards, formats and products have capitals or digits.
ENGLISH_WORDS = re.compile(r"(?<![\w.{/-])[a-z]{3,} [a-z]{3,}(?![\w.}/-])")


@pytest.fixture(scope="module")
def zh() -> Translator:
    return load()["zh-CN"]


@pytest.fixture(scope="module")
def en() -> Translator:
    return load()["en"]


def codes_of_errors() -> Iterator[tuple[str, str]]:
    """Yield (file, code) of every class of ours with a literal `code`."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "node_modules" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    for statement in node.body:
                        code = _literal_code(statement)
                        if code is not None:
                            yield str(path.relative_to(ROOT)), code


def _literal_code(statement: ast.stmt) -> str | None:
    names: list[ast.expr]
    if isinstance(statement, ast.AnnAssign):
        names, value = [statement.target], statement.value
    elif isinstance(statement, ast.Assign):
        names, value = statement.targets, statement.value
    else:
        return None
    named = any(isinstance(name, ast.Name) and name.id == "code" for name in names)
    return value.value or None if named and isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def codes_of_templates() -> Iterator[tuple[str, str]]:
    """Yield (file, code) of every `t("code"…)` with a literal code; a code ending in a dot is put together, see below."""
    literal = re.compile(r"""\bt\(\s*(["'])([a-zA-Z0-9_.-]+)\1""")
    for folder in TEMPLATE_FOLDERS:
        for path in sorted(folder.rglob("*.html")):
            for match in literal.finditer(path.read_text("utf-8")):
                yield path.name, match[2]


def test_both_languages_have_the_same_codes(zh: Translator, en: Translator) -> None:
    assert sorted(set(zh.messages) ^ set(en.messages)) == []


def test_both_languages_take_the_same_parameters(zh: Translator, en: Translator) -> None:
    differing = [
        code
        for code in zh.messages
        # A certificate is printed in both languages at once: some facts stand in its Chinese sentence only, and an
        # English date takes the month by name.
        if not code.startswith("certificate.")
        and set(PLACEHOLDER.findall(zh.messages[code])) != set(PLACEHOLDER.findall(en.messages.get(code, "")))
    ]
    assert not differing, differing


def test_every_error_code_of_the_product_has_its_message(zh: Translator, en: Translator) -> None:
    missing = sorted({f"{code} ({path})" for path, code in codes_of_errors() if code not in zh or code not in en})
    assert not missing, "\n".join(missing)


def test_every_code_a_template_uses_has_its_message(zh: Translator, en: Translator) -> None:
    missing = set()
    for path, code in codes_of_templates():
        if code.endswith((".", "_")):  # `t("verdict." ~ kind)`: some code must begin so
            present = any(known.startswith(code) for known in zh.messages)
        else:
            present = code in zh and code in en
        if not present:
            missing.add(f"{code} ({path})")
    assert not missing, "\n".join(sorted(missing))


def test_no_message_mixes_languages(zh: Translator, en: Translator) -> None:
    chinese_in_english = [
        code
        for code, text in en.messages.items()
        if code not in OWN_NAMES
        and code not in QUOTES_CHINESE
        and (HAN.search(text) or CHINESE_PUNCTUATION.search(text.replace("“", "").replace("”", "")))
    ]
    english_in_chinese = [
        code
        for code, text in zh.messages.items()
        if code not in OWN_NAMES and ENGLISH_WORDS.search(PLACEHOLDER.sub("", QUOTED.sub("", text)))
    ]
    assert not chinese_in_english, chinese_in_english
    assert not english_in_chinese, english_in_chinese


def test_a_chinese_sentence_uses_chinese_punctuation(zh: Translator) -> None:
    assert [
        code
        for code, text in zh.messages.items()
        if re.search(r"[\u4e00-\u9fff][,;:!?.](?:\s|$|[\u4e00-\u9fff])", text)
    ] == []


def test_a_parameter_is_put_in_as_text_and_never_executed() -> None:
    t = Translator("en", {"x": "Hello {name}, {other}", "y": "{name.__class__} {0} {name!r}"})
    assert t("x", name="{other}", other="b") == "Hello {other}, b"
    assert t("y", name="a") == "{name.__class__} {0} {name!r}"
    assert t("x", name="a") == "Hello a, {other}"
    assert t("no.such.code", name="a") == "no.such.code"


def write(folder: Path, name: str, text: str) -> None:
    for language in ("zh_CN", "en"):
        path = folder / language / "LC_MESSAGES"
        path.mkdir(parents=True, exist_ok=True)
        (path / name).write_text('msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n' + text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [('msgid "a"\nmsgstr ""\n', "no text"), ("msgid a\n", "cannot be read"), ('msgid "b"\nmsgstr "B"\n', "twice")],
)
def test_a_catalogue_that_is_wrong_stops_the_start(tmp_path: Path, text: str, complaint: str) -> None:
    write(tmp_path, "one.po", 'msgid "b"\nmsgstr "B"\n')
    write(tmp_path, "two.po", text)
    with pytest.raises(CatalogueError, match=complaint):
        load(tmp_path)


def test_each_domain_stands_in_both_languages() -> None:
    names = [{path.name for path in (LOCALE_FOLDER / name / "LC_MESSAGES").glob("*.po")} for name in ("zh_CN", "en")]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("tags", "language"),
    [("en", "en"), ("en-US fr", "en"), ("zh-Hant-TW", "zh-CN"), ("fr de", None), ("", None), ("x" * 10_000, None)],
)
def test_ui_locales_takes_the_first_language_of_ours(tags: str, language: str | None) -> None:
    assert language_of(tags) == language


def test_accept_language_is_weighed_and_bounded() -> None:
    assert language_of_header("zh;q=0.4,en;q=0.8") == "en"
    assert language_of_header("de,fr") is None
    assert language_of_header(",".join(["de"] * 100_000)) is None


def test_dates_are_written_as_each_language_writes_them(zh: Translator, en: Translator) -> None:
    new_year = 1_767_196_800  # 2026-01-01T00:00+08:00, still the old year in UTC
    assert (zh.date(new_year), en.date(new_year)) == ("2026年1月1日", "1 January 2026")
    assert (zh.time(new_year), en.time(new_year)) == ("2026年1月1日 00:00", "1 January 2026, 00:00")
    assert zh.machine_time(new_year) == "2025-12-31T16:00:00Z"
    assert en.number(1_234_567) == "1,234,567"
