"""How a command says that it could not do what was asked."""

from __future__ import annotations


class CommandFailed(Exception):
    """One clear sentence for the person at the shell, and the exit code a script sees."""

    def __init__(self, sentence: str, *, exit_code: int = 1) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code
