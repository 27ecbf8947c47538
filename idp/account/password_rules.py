"""What a new password must be (NIST SP 800-63B-4 §3.1.1.2): long enough, and not among the first anybody would try.

No rule asks for kinds of characters, and none makes a password grow old: both make people choose worse ones. What is
refused instead is what a guesser tries first: the person's own sign-in name, the service's name, runs and repetitions,
and the words that lead every published list. They are taken out of the password, and what is left must still be
something to guess. The words stand here in lower case and without digits; a digit or sign that poses as a letter is read
as the letter.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from crypto.errors import TrustError
from crypto.password import MAX_PASSWORD_CHARACTERS

CHARACTERS_ALONE_MIN = 15
"""NIST SP 800-63B-4 §3.1.1.2, where the password is the only factor."""

CHARACTERS_WITH_FACTOR_MIN = 8
"""The same clause, where a second factor is always asked for, too."""

LEFT_MIN = 5
"""Characters that must remain once everything common is taken out: a short word of one's own."""

RUN_MIN = 4
"""Neighbours on a keyboard or in the alphabet, so many in a row, count as one choice."""

_WORDS = (
    *("password", "passwort", "passwd", "secret", "letmein", "welcome", "login", "admin", "administrator", "root"),
    *("master", "monkey", "dragon", "football", "baseball", "princess", "sunshine", "shadow", "superman", "batman"),
    *("iloveyou", "trustno", "whatever", "freedom", "hello", "charlie", "michael", "student", "teacher", "school"),
    *("mima", "woaini", "aini", "xuexiao", "xuesheng", "laoshi", "zhongguo", "beijing", "changeme", "default"),
    *("edutrust", "密码", "我爱你", "学校", "学生", "老师", "中国", "教育"),
)
_ROWS = (
    *("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"),
    *("qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p"),
)
_POSING = str.maketrans({"@": "a", "4": "a", "3": "e", "1": "i", "!": "i", "0": "o", "$": "s", "5": "s", "7": "t"})
_DATE = re.compile(r"(?:19|20)\d\d(?:0?[1-9]|1[0-2])?(?:0?[1-9]|[12]\d|3[01])?")
_REPEATED = re.compile(r"(.{1,4}?)\1{2,}")
_FAVOURITE = re.compile(r"5201314|1314520|520|1314|888+|666+")


class PasswordUnfit(TrustError):
    """A new password that breaks a rule; `rule` says which: too_short, too_long, common, same, differ."""

    code = "idp.account.password_unfit"


def check_new_password(password: str, *, username: str, characters_min: int) -> None:
    """Raise `PasswordUnfit` for a password that is too short, too long, or common. It is never changed or cut."""
    counted = unicodedata.normalize("NFKC", password)  # as it is hashed; one typed sign may become eighteen
    if min(len(counted), len(password)) < characters_min:
        raise PasswordUnfit(field="new_password", rule="too_short", characters=characters_min)
    if max(len(counted), len(password)) > MAX_PASSWORD_CHARACTERS:
        raise PasswordUnfit(field="new_password", rule="too_long", characters=MAX_PASSWORD_CHARACTERS)
    if len(_left(counted.casefold(), username.casefold())) < LEFT_MIN:
        raise PasswordUnfit(field="new_password", rule="common")


def _left(password: str, username: str) -> str:
    """Return what is of one's own: the password without the sign-in name, dates, runs, repetitions and common words."""
    left = password.replace(username, "") if len(username) > 2 else password
    for word in _WORDS:
        left = left.replace(word, "")
    left = _REPEATED.sub("", _without_runs(left))
    for pattern in (_FAVOURITE, _DATE):
        left = pattern.sub("", left)
    posing = left.translate(_POSING)
    for word in _WORDS:
        posing = posing.replace(word, "")
    return "".join(dict.fromkeys(_without_runs(posing)))


def _without_runs(text: str) -> str:
    """Take out runs of neighbours, forwards or backwards, of `RUN_MIN` and more."""
    runs: list[list[str]] = []
    for before, here in pairwise(("\x00", *text)):
        if runs and _neighbours(before, here) and (len(runs[-1]) == 1 or _neighbours(runs[-1][-2], before)):
            runs[-1].append(here)
        else:
            runs.append([here])
    return "".join("".join(run) for run in runs if len(run) < RUN_MIN)


def _neighbours(one: str, other: str) -> bool:
    return any(one + other in row or other + one in row for row in _ROWS)
