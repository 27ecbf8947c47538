"""A stored credential as people see it: its claims opened, and which of them a share may choose."""

from __future__ import annotations

from credentials.formats import sd_jwt
from credentials.formats.disclosures import reveal
from credentials.kinds import KINDS
from credentials.model import HeldCredential, Issued
from credentials.ports import Issuers


def held(issued: Issued, issuers: Issuers) -> HeldCredential:
    """Open a stored credential. It was verified when it was made and is sealed at rest, so only its form is read."""
    kind = KINDS[issued.kind]
    presentation = sd_jwt.parse(issued.presentation)
    opened = reveal(presentation.unverified_payload(), presentation.disclosures).claims
    names = [*sorted(kind.always), *kind.selectable]
    claims = {name: opened[name] for name in names if name in opened}
    return HeldCredential(
        id=issued.id,
        kind=issued.kind,
        vct=kind.vct,
        number=issued.number,
        issuer=issued.school,
        issuer_id=issuers.issuer_id(issued.school),
        issuer_name=str(claims.get("school_name", "")),
        holder=issued.person,
        claims=claims,
        always=frozenset(kind.always & claims.keys()),
        selectable=tuple(name for name in kind.selectable if name in claims),
        issued_at=issued.issued_at,
        status=issued.status,
        leaf_index=issued.leaf_index,
    )
