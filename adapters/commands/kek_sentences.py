"""What an operator is told of a key file that cannot be used."""

from __future__ import annotations

from adapters.kek import KekRefused

KEK_SENTENCES = {
    "missing": "The key-encryption key file {path} is missing. Put its copy back, or recover it from the "
    "officers' shares with `edutrust keys recover`; for a new, empty deployment create it with `edutrust keys init`. Without it nothing sealed in the databases can be opened.",
    "unreadable": "The key-encryption key file {path} cannot be read.",
    "permissions": "The key-encryption key file {path} can be read by others; run `chmod 600` on it.",
    "malformed": "The key-encryption key file {path} is damaged; restore it from its backup.",
    "exists": "The key-encryption key file {path} exists already and is never overwritten.",
    "unwritable": "The key-encryption key file {path} cannot be written.",
    "active": "This key-encryption key is the active one; rotate it first.",
    "unknown_key": "The key-encryption key file {path} does not hold this key.",
}


def kek_sentence(refused: KekRefused, path: object) -> str:
    """Say in one sentence what is wrong with the key file."""
    return KEK_SENTENCES[refused.rule or "unreadable"].format(path=path)
