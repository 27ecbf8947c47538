"""The one judgement of a record: bytes, trust anchors, status and the time in; a verdict with every check listed out.

Pure: the page, the interface, the command line and the offline verifier call the same functions. What cannot be read at
all raises `Unreadable`; everything else ends in a `Verdict`. Nothing here asks a network: whoever is online passes what it
found as `CurrentStatus`, and None means offline, judged "as of" the snapshot the bundle brings along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from credentials.accreditation import Accreditation, KeyPurpose
from credentials.bundle import BUNDLE_TYPE, Bundle
from credentials.errors import AccreditorUnknown, CredentialsError, DocumentAltered, KeyUnavailable, Unreadable
from credentials.formats import sd_jwt
from credentials.formats.key_binding import ExpectedBinding
from credentials.formats.pdf_seal import SealedPdf, open_sealed_pdf
from credentials.judgement import Findings, judge, judge_log, rule_broken
from credentials.public_keys import key_of_jwk
from credentials.status import CurrentStatus, Status, reference_of
from credentials.trust import TrustAnchors
from credentials.verdict import CheckName, Outcome, Result, Verdict
from crypto.errors import TrustError
from crypto.keys import thumbprint
from ledger.receipt import RECEIPT_TYPE, Receipt

MAX_PDF_BYTES: Final = 16 << 20  # a certificate with its fonts takes 200 kB; a scan in it a few MB
_PDF_MAGIC: Final = b"%PDF-"
FileKind = Literal["bundle", "receipt", "pdf"]


def verify_bundle(data: bytes, *, trust: TrustAnchors, now: int, status: CurrentStatus | None) -> Verdict:
    """Judge a bundle file. A key binding it carries must verify; none is demanded. Raises `Unreadable`."""
    found = Findings()
    judge(found, Bundle.parse(data), trust, now, status, None)
    return found.verdict()


def verify_presentation(
    data: bytes, *, trust: TrustAnchors, now: int, status: CurrentStatus | None, expected: ExpectedBinding
) -> Verdict:
    """Judge a bundle presented in answer to a request: the holder's key binding is demanded. Raises `Unreadable`."""
    found = Findings()
    judge(found, Bundle.parse(data), trust, now, status, expected)
    return found.verdict()


def verify_receipt_file(data: bytes, *, trust: TrustAnchors) -> Verdict:
    """Judge a receipt file: the entry stands in the log and is anchored. Says nothing of any credential's status."""
    try:
        receipt = Receipt.parse(data)
    except TrustError as error:
        raise Unreadable(field=error.field, rule=error.rule) from error
    found = Findings()
    entry = judge_log(found, receipt, trust)
    found.said = Status.VALID  # a log entry has no status of its own; only the two checks count
    found.as_of = found.judged_at
    facts: dict[str, Any] = {} if entry is None else {"log": receipt.origin, "index": entry.index}
    return replace(found.verdict(), facts=facts)


def _document(sealed: SealedPdf, chain: Accreditation | None) -> Mapping[str, str | int]:
    if chain is None:
        raise AccreditorUnknown(rule="no_accreditation")
    print_of_signer = thumbprint(key_of_jwk(sealed.signer_public_jwk).jwk)
    for key in chain.keys(KeyPurpose.DOCUMENT).values():
        if thumbprint(key.public.jwk) != print_of_signer:
            continue
        # The signing time is the signer's own word, so a compromised document key proves nothing at any time.
        if key.compromised_at is not None or not key.in_force(sealed.signing_time):
            raise KeyUnavailable(field="document", rule="out_of_force")
        return {"kid": key.public.kid, "time": sealed.signing_time}
    raise KeyUnavailable(field="document", rule="not_accredited")


def verify_pdf(data: bytes, *, trust: TrustAnchors, now: int, status: CurrentStatus | None) -> Verdict:
    """Judge a sealed PDF: the whole file as its issuer signed it, and the bundle in it. Raises `Unreadable`."""
    found = Findings()
    try:
        sealed = open_sealed_pdf(data, max_size=MAX_PDF_BYTES)
    except DocumentAltered as error:
        found.add(CheckName.DOCUMENT, Result.FAIL, rule_broken(error))
        return found.verdict()
    inner = Findings()
    judge(inner, Bundle.parse(sealed.bundle), trust, now, status, None)
    found.attempt(CheckName.DOCUMENT, lambda: _document(sealed, inner.accreditation))
    inner.checks.insert(0, found.checks[0])
    return inner.verdict()


def kind_of(data: bytes) -> FileKind:
    """Return what a file is by its first bytes. Raises `Unreadable`."""
    if data.startswith(_PDF_MAGIC):
        return "pdf"
    # Both forms are canonical JSON, whose members are sorted: `type` is near the end, whole and in plain sight.
    if b'"type":"' + BUNDLE_TYPE.encode() + b'"' in data[-64:]:
        return "bundle"
    if b'"type":"' + RECEIPT_TYPE.encode() + b'"' in data[-64:]:
        return "receipt"
    raise Unreadable(rule="kind")


def verify_file(data: bytes, *, trust: TrustAnchors, now: int, status: CurrentStatus | None) -> Verdict:
    """Judge a file of any of the three kinds. Raises `Unreadable`."""
    kind = kind_of(data)
    if kind == "pdf":
        return verify_pdf(data, trust=trust, now=now, status=status)
    if kind == "receipt":
        return verify_receipt_file(data, trust=trust)
    return verify_bundle(data, trust=trust, now=now, status=status)


def bundle_in(data: bytes) -> Bundle | None:
    """Return the bundle of a file, unverified, for an online verifier to see what it must fetch; None for none.

    Never raises: what cannot be read is the judgement's to tell.
    """
    try:
        kind = kind_of(data)
        if kind == "receipt":
            return None
        return Bundle.parse(open_sealed_pdf(data, max_size=MAX_PDF_BYTES).bundle if kind == "pdf" else data)
    except CredentialsError:
        return None


def status_uri_in(bundle: Bundle) -> str | None:
    """Return the address of the status list the credential names, unverified; None where it names none. Never raises."""
    try:
        return reference_of(sd_jwt.parse(bundle.presentation).unverified_payload()).uri
    except CredentialsError:
        return None


EXIT_CODES: Final[Mapping[Outcome, int]] = {
    Outcome.VALID: 0,
    Outcome.INVALID: 1,
    Outcome.REVOKED: 1,
    Outcome.SUSPENDED: 1,
    Outcome.SUPERSEDED: 1,
    Outcome.UNKNOWN: 3,
}
"""Exit codes of the command line; `Unreadable` is 2."""
