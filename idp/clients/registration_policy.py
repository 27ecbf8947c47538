"""What a platform may register by itself. Data with a date; the operator chooses one by name when he gives a token away.

A change here holds for every registration and every change of one from then on; what was registered before stays as it is
until it is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from crypto.suites import Alg
from idp.clients.model import GrantType, SubjectType, TokenEndpointAuth
from idp.model import Acr
from idp.scopes import KNOWN_SCOPES, OFFLINE_ACCESS, OPENID, PROFILE


@dataclass(frozen=True, slots=True)
class RegistrationPolicy:
    """`since`: in force from this day. `same_host`: addresses shown to people are on a host of a redirect URI.

    `loopback_web`: a web platform may have http addresses on a loopback host (a native one always may, RFC 8252 §7.3).
    `pkce`: a confidential client must use PKCE too; without it, it must send a nonce (RFC 9700 §2.1.1).
    `uses_max`, `days_max`: the most one initial access token may be good for. `acr_minimum` is set, not asked for.
    """

    name: str
    since: str
    grant_types: frozenset[GrantType]
    auth_methods: frozenset[TokenEndpointAuth]
    algorithms: frozenset[Alg]
    subject_types: frozenset[SubjectType]
    scopes: frozenset[str]
    loopback_web: bool
    same_host: bool
    pkce: bool
    acr_minimum: Acr
    uses_max: int
    days_max: int


_FOR_PEOPLE = frozenset({GrantType.AUTHORIZATION_CODE, GrantType.REFRESH_TOKEN, GrantType.DEVICE_CODE})
_ALGORITHMS = frozenset({Alg.RS256, Alg.ES256, Alg.SGD_SM3_SM2})

STANDARD = RegistrationPolicy(
    name="standard",
    since="2026-11-22",
    grant_types=_FOR_PEOPLE,
    auth_methods=frozenset(TokenEndpointAuth),
    algorithms=_ALGORITHMS,
    subject_types=frozenset({SubjectType.PAIRWISE}),
    scopes=frozenset({OPENID, PROFILE, OFFLINE_ACCESS}),
    loopback_web=False,
    same_host=True,
    pkce=True,
    acr_minimum=Acr.ONE,
    uses_max=20,
    days_max=30,
)
"""For platforms that people will use."""

TRIAL = RegistrationPolicy(
    name="trial",
    since="2026-11-22",
    grant_types=_FOR_PEOPLE,
    auth_methods=frozenset(TokenEndpointAuth),
    algorithms=_ALGORITHMS,
    subject_types=frozenset(SubjectType),
    scopes=KNOWN_SCOPES,
    loopback_web=True,
    same_host=False,
    pkce=False,
    acr_minimum=Acr.ONE,
    uses_max=1000,
    days_max=7,
)
"""For trials and runs of the conformance suite, on a deployment without people in it."""

POLICIES: Mapping[str, RegistrationPolicy] = MappingProxyType({policy.name: policy for policy in (STANDARD, TRIAL)})
