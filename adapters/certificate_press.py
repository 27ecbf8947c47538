"""The press: a holder's record set as a page and sealed by its school, off the event loop.

Setting and sealing a page takes some fifteen milliseconds of a core, so it runs in a pool that cannot grow: a flood of
downloads waits here and slows nothing else. The code on the page is an ordinary share of the holder's, seen and ended like any other.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from adapters.web.catalogue import Translator
from credentials.accreditation import AccreditedKey
from credentials.certificate import CODE_DAYS, certificate_view, printable, printed_before
from credentials.errors import KeyUnavailable
from credentials.formats.pdf_cms import der_signer
from credentials.formats.pdf_render import CertificateView, FontSet, GlyphMissing, load_fonts, render_certificate
from credentials.formats.pdf_seal import seal_pdf
from credentials.issuers import STATEMENT_LIFETIME_S
from credentials.model import HeldCredential, Share
from credentials.ports import Clock, IssuerKeys, Issuers
from credentials.sharing import Sharing
from credentials.wallet import Wallet
from crypto.certificates import MAX_COMMON_NAME_CHARACTERS, make_document_certificate
from crypto.keys import SigningKey
from idp.authority.decide import signed_in
from idp.authority.model import Actor

FONTS_FOLDER: Final = Path(__file__).parent / "web" / "static" / "build" / "fonts"
# As many as the smallest machine has cores; the typesetter releases the interpreter lock.
PRESS_THREADS: Final = 2
ATTACHMENT_NAME: Final = "edutrust-bundle.json"
# Two downloads of one record at once take turns, so that they find one code; few enough that they cost nothing.
TURNS: Final = 64
SERIAL_BYTES: Final = 19  # RFC 5280 §4.1.2.2: at most 20 octets with the sign


@dataclass(frozen=True, slots=True)
class Sealing:
    """What a school seals a page with: its document key, how it is accredited, and in whose name."""

    key: SigningKey
    accredited: AccreditedKey
    name: str
    issuer_id: str

    def certificate(self) -> bytes:
        """Return the key's certificate: the same bytes whenever it is made."""
        since, until = self.accredited.not_before, self.accredited.not_after
        return make_document_certificate(
            self.name[:MAX_COMMON_NAME_CHARACTERS],
            self.issuer_id,
            self.key,
            since,
            since + STATEMENT_LIFETIME_S if until is None else until,
            serial=1 + int.from_bytes(hashlib.sha256(self.key.kid.encode()).digest()[:SERIAL_BYTES]),
        )


class PooledCertificatePress:
    """The `CertificatePress` of the holder's pages."""

    def __init__(
        self,
        *,
        wallet: Wallet,
        sharing: Sharing,
        keys: IssuerKeys,
        issuers: Issuers,
        translators: Mapping[str, Translator],
        clock: Clock,
    ) -> None:
        """Open the fonts. Raises `FontsUnusable`: a service that cannot print does not start."""
        self._wallet = wallet
        self._sharing = sharing
        self._keys = keys
        self._issuers = issuers
        self._words_zh, self._words_en = translators["zh-CN"], translators["en"]
        self._clock = clock
        self._fonts: FontSet = load_fonts(FONTS_FOLDER, typesetters=PRESS_THREADS)
        self._pool = ThreadPoolExecutor(PRESS_THREADS, thread_name_prefix="press")
        self._turns = tuple(asyncio.Lock() for _ in range(TURNS))

    def missing_character(self, text: str) -> int | None:
        """Return the first code point of a text that no font holds, so that it is found before a record is issued."""
        return self._fonts.missing(text)

    async def certificate(self, actor: Actor | None, credential_id: str) -> bytes:
        """Return the sealed PDF of an own record, with every claim in it and a code for the whole record on it.

        Raises `CredentialUnknown`, `CertificateNotInForce`, `GlyphMissing`, `CertificateRefused`, `KeyUnavailable`.
        """
        holder = signed_in(actor)
        held = await self._wallet.credential(holder, credential_id)
        printable(held)
        self._refuse_unprintable(held)
        share = await self._code_for(holder, held)
        # The key first: the statements in the bundle, made afterwards, then name it.
        sealing = await self._sealing(held)
        bundle = await self._wallet.bundle(holder, credential_id)
        now = self._clock()
        view = certificate_view(
            held,
            share=share,
            address=self._issuers.verification_address,
            printed_at=now,
            words_zh=self._words_zh,
            words_en=self._words_en,
        )
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, _press, view, self._fonts, bundle, sealing, now)

    def close(self) -> None:
        """Finish what is being set and stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _refuse_unprintable(self, held: HeldCredential) -> None:
        """Refuse before a code is made for a page that will not come to be. Raises `GlyphMissing`."""
        for name, value in held.claims.items():
            if (absent := self._fonts.missing(str(value))) is not None:
                raise GlyphMissing(field=name, code_point=f"U+{absent:04X}")

    async def _code_for(self, holder: Actor, held: HeldCredential) -> Share:
        async with self._turns[crc32(held.id.encode()) % TURNS]:
            earlier = printed_before(await self._sharing.shares(holder), held, now=self._clock())
            if earlier is not None:
                return earlier
            return await self._sharing.share(
                holder, held.id, fields=frozenset(held.selectable), days=CODE_DAYS, view_limit=None
            )

    async def _sealing(self, held: HeldCredential) -> Sealing:
        key = await self._keys.document_key(held.issuer_id)
        for accredited in await self._keys.accredited(held.issuer_id):
            if accredited.public.kid == key.kid:
                return Sealing(key, accredited, held.issuer_name, held.issuer_id)
        raise KeyUnavailable(field="document", rule="not_accredited")


def _press(view: CertificateView, fonts: FontSet, bundle: bytes, sealing: Sealing, now: int) -> bytes:
    return seal_pdf(
        render_certificate(view, fonts=fonts),
        bundle=bundle,
        attachment_name=ATTACHMENT_NAME,
        sign=der_signer(sealing.key),
        certificate_der=sealing.certificate(),
        signing_time=now,
    )
