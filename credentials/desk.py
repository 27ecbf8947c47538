"""The verification desk: the service's own online verifier. It fetches what is current and calls the pure judgement."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from credentials.accreditation import unverified_statement
from credentials.bundle import Bundle
from credentials.bundling import Bundling
from credentials.errors import CredentialsError, CredentialUnknown
from credentials.formats.key_binding import ExpectedBinding
from credentials.issuers import Accreditation
from credentials.model import Viewer
from credentials.ports import Clock, Issuers, People
from credentials.sharing import parse_code
from credentials.status import CurrentStatus
from credentials.status_changes import StatusChanges
from credentials.store import CredentialStore
from credentials.trust import TrustAnchors
from credentials.verdict import Verdict
from credentials.verification import bundle_in, status_uri_in, verify_file, verify_presentation
from idp.registry.errors import RegistryRefused
from idp.registry.school_code import parse_listed


@dataclass(frozen=True, slots=True)
class CodeVerdict:
    """What a verification code opened: the verdict, the bundle to keep, and until when the code opens it."""

    verdict: Verdict
    bundle: bytes = field(repr=False)
    valid_until: int


class VerificationDesk:
    """Verification for anyone who has a code or a file."""

    def __init__(
        self,
        *,
        store: CredentialStore,
        bundling: Bundling,
        statuses: StatusChanges,
        accreditation: Accreditation,
        people: People,
        issuers: Issuers,
        clock: Clock,
        trust: TrustAnchors,
    ) -> None:
        self._store = store
        self._bundling = bundling
        self._statuses = statuses
        self._accreditation = accreditation
        self._people = people
        self._issuers = issuers
        self._clock = clock
        self._trust = trust

    def trust(self) -> bytes:
        """Return the trust file an offline verifier needs."""
        return self._trust.to_bytes()

    async def by_code(self, code: str, *, viewer: Viewer) -> CodeVerdict:
        """Open a share and judge what it shows. Counts one look. Raises `ShareUnknown`, `ShareEnded`."""
        now = self._clock()
        opened = await self._store.open_share(parse_code(code), now=now, viewer=viewer)
        issued = await self._store.credential(opened.share.credential)
        bundle = await self._bundling.bundle(issued, opened.presentation)
        data = bundle.to_bytes()
        share = opened.share
        verdict = verify_presentation(
            data,
            trust=self._trust,
            now=now,
            status=CurrentStatus(self._issuers.status_uri(issued.status_list), bundle.status),
            expected=ExpectedBinding(self._issuers.verification_address, share.id, share.created_at),
        )
        return CodeVerdict(verdict, data, share.valid_until)

    async def of_file(self, data: bytes) -> Verdict:
        """Judge a PDF, a bundle or a receipt against what is current. Raises `Unreadable`."""
        bundle = bundle_in(data)
        trust = self._trust if bundle is None else await self._with_newest_statements(bundle)
        uri = None if bundle is None else status_uri_in(bundle)
        status = None if uri is None else CurrentStatus(uri, await self._current_token(uri))
        return verify_file(data, trust=trust, now=self._clock(), status=status)

    async def _current_token(self, uri: str) -> str | None:
        """Return the current list where it is one of ours; of others nothing is known here, which is not green."""
        list_id = uri.removeprefix(self._issuers.status_uri(""))
        if list_id == uri:
            return None
        try:
            return await self._statuses.token(list_id)
        except CredentialUnknown:
            return None

    async def _with_newest_statements(self, bundle: Bundle) -> TrustAnchors:
        """Return the trust anchors with today's statements about the issuer, where it is one of ours."""
        try:
            subject = unverified_statement(bundle.accreditation[-1]).subject if bundle.accreditation else ""
            code = subject.removeprefix(self._issuers.issuer_id_prefix)
            if code == subject:
                return self._trust
            chain = await self._accreditation.chain(await self._people.school(parse_listed(code)))
        except (CredentialsError, RegistryRefused):
            return self._trust  # a malformed statement is the judgement's to tell
        return replace(self._trust, statements=(*self._trust.statements, *chain))
