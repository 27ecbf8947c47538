"""What a new password must be (NIST SP 800-63B-4 §3.1.1.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.password import MAX_PASSWORD_CHARACTERS
from idp.account.password_rules import CHARACTERS_WITH_FACTOR_MIN, PasswordUnfit, check_new_password


def rule_of(password: str, *, username: str = "lin.xiaoyu", least: int = 8) -> str | None:
    try:
        check_new_password(password, username=username, characters_min=least)
    except PasswordUnfit as refusal:
        return refusal.rule
    return None


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "春眠不觉晓处处闻啼鸟",
        "m4!vT_q9",
        "three old umbrellas",
        "  leading and trailing  ",
        "x" * 20 + "kolibri am fenster",
        "🦊🐢🦉🐝🐌🦔🐿🦫",
    ],
)
def test_a_password_of_ones_own_is_taken_whatever_its_characters(password: str) -> None:
    assert rule_of(password) is None


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "Password123",
        "P@ssw0rd!",
        "12345678",
        "1234567890123456",
        "87654321",
        "qwertyuiop",
        "QWERTYUIOP123456",
        "1qaz2wsx3edc",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "lin.xiaoyu2026",
        "LIN.XIAOYU20260101",
        "woaini5201314",
        "edutrust2026",
        "密码密码密码密码",
        "admin19991231admin",
        "iloveyou1234",
    ],
)
def test_what_is_tried_first_is_refused(password: str) -> None:
    assert rule_of(password) == "common"


def test_length_is_counted_in_characters_as_typed_and_read_as_one() -> None:
    assert rule_of("k7#mq2z") == "too_short"
    assert rule_of("correct horse!", least=15) == "too_short"
    assert rule_of("correct horse!!", least=15) is None
    assert rule_of("e\u0301o\u0301u\u0301a\u0301n\u0303i\u0301xy") is None, "eight in the one reading of them"
    assert rule_of("e\u0301o\u0301u\u0301a\u0301n\u0303i\u0301x") == "too_short"
    assert rule_of("\ufdfa") == "too_short", "one sign, though it is written out in eighteen"
    assert rule_of("ab cd ef " * 40) == "too_long"
    assert rule_of("") == "too_short"


@given(st.text(max_size=400), st.text(min_size=1, max_size=40))
def test_any_text_is_taken_or_refused_by_a_rule(password: str, username: str) -> None:
    rule = rule_of(password, username=username)
    assert rule in {None, "too_short", "too_long", "common"}
    if rule is None:
        assert len(password) >= CHARACTERS_WITH_FACTOR_MIN


@given(st.text(min_size=MAX_PASSWORD_CHARACTERS + 1, max_size=400, alphabet="abcdef0123"))
def test_no_overlong_password_is_taken(password: str) -> None:
    assert rule_of(password) == "too_long"
