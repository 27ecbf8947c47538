"""The TOTP authenticator (RFC 6238): a code from any phone app, accepted once, and its enrolment by QR code."""

from __future__ import annotations

import base64

import segno

from crypto.errors import TrustError
from crypto.otp import OtpRefused, provisioning_uri, verify_totp
from crypto.sealed import ColumnSealer
from idp.model import AuthenticatorKind, Clock, RandomBytes
from idp.store import AccountStore, Attempt

SEED_BYTES = 20
"""RFC 4226 §4 R6 recommends 160 bits; the length phone apps expect."""

DRIFT_STEPS = 1
"""RFC 6238 §5.2: at most one step of drift either way."""


class CodeRefused(TrustError):
    """A code that is wrong, used already, or tried too often. Says nothing of which."""

    code = "idp.login.code_refused"


class TotpAuthenticator:
    """Checks codes and enrols seeds. Seeds exist outside this class only sealed, or as the picture shown once."""

    def __init__(
        self, store: AccountStore, sealer: ColumnSealer, *, issuer_name: str, clock: Clock, random_bytes: RandomBytes
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._issuer_name = issuer_name
        self._clock = clock
        self._random_bytes = random_bytes

    async def enrolled(self, person: str) -> bool:
        """Whether the person has a TOTP authenticator."""
        return await self._store.totp(person) is not None

    async def authenticate(self, person: str, code: str) -> None:
        """Accept a code exactly once, or raise `CodeRefused`."""
        now = self._clock()
        enrolment = await self._store.totp(person)
        attempt = await self._store.reserve_attempt(person, AuthenticatorKind.TOTP, now)
        if enrolment is None or attempt is not Attempt.ALLOWED:
            raise CodeRefused(field="code", rule="code")
        seed = self._sealer.open(enrolment.sealed_seed, aad=_aad(person))
        step = _accepted_step(seed, code, now, last_step=enrolment.last_step)
        # RFC 6238 §5.2: the second use of a code is refused, also when both come at once.
        if not await self._store.consume_totp_step(person, step):
            raise CodeRefused(field="code", rule="code")
        await self._store.clear_failures(person, AuthenticatorKind.TOTP)

    def new_pending_seed(self, person: str) -> str:
        """Make a seed for enrolment; return it sealed, as base64url text for the transaction."""
        sealed = self._sealer.seal(self._random_bytes(SEED_BYTES), aad=_aad(person))
        return base64.urlsafe_b64encode(sealed).decode()

    def enrolment_picture(self, person: str, username: str, pending_seed: str) -> tuple[str, str]:
        """Return the QR code as an inline `<svg>` element and the same seed in base32 for typing, in groups of four."""
        seed = self._open_pending(person, pending_seed)
        secret = base64.b32encode(seed).decode().rstrip("=")
        uri = provisioning_uri(seed, account=username, issuer=self._issuer_name)
        # Dark on light in both colour schemes: phone cameras expect it. The quiet zone is four modules (ISO/IEC 18004).
        picture: str = segno.make(uri, error="m", micro=False).svg_inline(
            scale=5, border=4, dark="#000", light="#fff", svgclass=None, omitsize=True
        )
        return picture, " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))

    async def confirm_enrolment(self, person: str, pending_seed: str, code: str) -> None:
        """Enrol the pending seed when `code` shows that a phone holds it. Raises `CodeRefused`."""
        now = self._clock()
        seed = self._open_pending(person, pending_seed)
        step = _accepted_step(seed, code, now, last_step=None)
        sealed = self._sealer.seal(seed, aad=_aad(person))
        if not await self._store.enrol_totp(person, sealed, step, now):
            raise CodeRefused(field="code", rule="enrolled_already")

    def _open_pending(self, person: str, pending_seed: str) -> bytes:
        return self._sealer.open(base64.urlsafe_b64decode(pending_seed), aad=_aad(person))


def _accepted_step(seed: bytes, code: str, now: int, *, last_step: int | None) -> int:
    try:
        return verify_totp(seed, code.replace(" ", ""), now, drift_steps=DRIFT_STEPS, last_step=last_step)
    except OtpRefused:
        raise CodeRefused(field="code", rule="code") from None


def _aad(person: str) -> bytes:
    # Table, column and row, so that a seed copied to another person's row does not open.
    return b"authenticator\x00sealed_seed\x00" + person.encode()
