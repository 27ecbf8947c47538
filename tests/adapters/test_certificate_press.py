"""The press: what a downloaded certificate proves, which code it carries, and whom it is refused."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from pathlib import Path
from threading import current_thread

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from pypdf import PdfReader

from adapters.certificate_press import PooledCertificatePress, Sealing
from credentials.accreditation import KeyPurpose
from credentials.bundle import Bundle
from credentials.certificate import CertificateNotInForce
from credentials.copyright.registration import WorkForm
from credentials.creditbank.record import CreditForm
from credentials.errors import CredentialUnknown, ShareEnded, Unreadable
from credentials.formats.pdf_render import CertificateView, FontSet, GlyphMissing, render_certificate
from credentials.formats.pdf_seal import open_sealed_pdf
from credentials.model import Act, HeldCredential, Reason, Share, Viewer
from credentials.ports import Issuers
from credentials.sharing import DAY_S
from credentials.verdict import Outcome, Result, Verdict
from credentials.verification import MAX_PDF_BYTES, verify_file
from idp.authority.errors import SignInRequired
from tests.credentials.world import BASE, OTHER_SCHOOL, SCHOOL, World, graduate, holder, play
from tests.services.clock import StillClock
from tests.services.pages import translators

CODE = re.compile(r"\b[2-9A-HJ-NP-Z]{4}(?:-[2-9A-HJ-NP-Z]{4}){3}\b")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return an embedded deployment: what differs between the databases is the stores' to test."""
    return f"sqlite:///{tmp_path}"


@contextmanager
def press_of(world: World) -> Iterator[PooledCertificatePress]:
    press = PooledCertificatePress(
        wallet=world.services.wallet,
        sharing=world.services.sharing,
        keys=world.keys,
        issuers=Issuers(BASE),
        translators=translators(),
        clock=world.clock,
    )
    try:
        yield press
    finally:
        press.close()


async def diploma(world: World, name: str = "𠮷田禾", sequence: int = 1) -> HeldCredential:
    (held,) = await world.diplomas(graduate(sequence, name=name))
    return held


async def shares(world: World, held: HeldCredential) -> tuple[Share, ...]:
    return await world.services.sharing.shares(holder(held.holder))


def judged(world: World, data: bytes) -> Verdict:
    return verify_file(data, trust=world.services.trust, now=world.clock(), status=None)


def words_of(pdf: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)


def code_on(pdf: bytes) -> str:
    (code,) = {found[0] for found in CODE.finditer(words_of(pdf))}
    return code


def test_a_pressed_diploma_is_valid_by_itself_and_says_the_name_in_full(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            pdf = await press.certificate(holder(held.holder), held.id)
        verdict = judged(world, pdf)
        assert [check for check in verdict.checks if check.result is not Result.PASS] == []
        assert verdict.checks[0].name == "document"
        assert verdict.outcome is Outcome.VALID
        assert verdict.facts == dict(held.claims)
        assert "𠮷田禾" in words_of(pdf)
        assert held.number in words_of(pdf)

    play(database_url, tmp_path, clock, story)


def test_a_pressed_credit_record_and_a_pressed_registration_are_valid(
    url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        issuance, person = world.services.issuance, await world.enrol("李晓芳", 7)
        credit = CreditForm(person, "李晓芳", "数据结构", "CS-201", "3.50", "56", "优秀", date(2026, 6, 1))
        work = WorkForm(person, "李晓芳", "浮力互动微课", "CC-BY-4.0")
        held = await world.issue(await issuance.draft_credit_record(world.registrar, SCHOOL, credit))
        held += await world.issue(await issuance.draft_copyright(world.registrar, SCHOOL, work, b"slides"))
        assert {one.kind for one in held} == {"credit_record", "copyright_registration"}
        with press_of(world) as press:
            for one in held:
                pdf = await press.certificate(holder(person), one.id)
                assert judged(world, pdf).outcome is Outcome.VALID
                assert one.number in words_of(pdf)

    play(url, tmp_path, clock, story)


def test_any_flipped_bit_of_a_pressed_certificate_is_noticed(url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            pdf = await press.certificate(holder(held.holder), held.id)
        rng = random.Random(20260701)
        for at in sorted(rng.sample(range(len(pdf)), 300)):
            changed = bytearray(pdf)
            changed[at] ^= 1 << rng.randrange(8)
            try:
                outcome = judged(world, bytes(changed)).outcome
            except Unreadable:
                continue
            assert outcome is not Outcome.VALID, at

    play(url, tmp_path, clock, story)


def test_the_printed_code_opens_every_field_and_the_holder_sees_it_looked_at(
    url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            pdf = await press.certificate(holder(held.holder), held.id)
        code = code_on(pdf)
        assert f"{BASE}/verify/{code}" in words_of(pdf).replace("\n", "")
        opened = await world.services.desk.by_code(code, viewer=Viewer("browser", None))
        assert opened.verdict.outcome is Outcome.VALID
        assert opened.verdict.facts == dict(held.claims)
        (share,) = await shares(world, held)
        assert (share.code, share.views, share.view_limit) == (code, 1, None)
        assert share.valid_until == clock() + 180 * DAY_S

    play(url, tmp_path, clock, story)


def test_downloading_again_makes_no_second_code_even_at_once(url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            pressed = await asyncio.gather(*(press.certificate(holder(held.holder), held.id) for _ in range(6)))
            clock.advance(30 * DAY_S - 1)
            pressed.append(await press.certificate(holder(held.holder), held.id))
            assert len({code_on(pdf) for pdf in pressed}) == 1
            assert len(await shares(world, held)) == 1
            clock.advance(1)
            later = await press.certificate(holder(held.holder), held.id)
            assert code_on(later) != code_on(pressed[0])

    play(url, tmp_path, clock, story)


def test_a_code_its_holder_ended_is_not_printed_again_and_the_file_stays_valid(
    url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            first = await press.certificate(holder(held.holder), held.id)
            (share,) = await shares(world, held)
            await world.services.sharing.revoke(holder(held.holder), share.id)
            with pytest.raises(ShareEnded):
                await world.services.desk.by_code(code_on(first), viewer=Viewer("browser", None))
            second = await press.certificate(holder(held.holder), held.id)
        assert code_on(second) != code_on(first)
        assert judged(world, first).outcome is Outcome.VALID

    play(url, tmp_path, clock, story)


def test_a_code_for_some_fields_is_never_printed(url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        partial = await world.services.sharing.share(
            holder(held.holder), held.id, fields=frozenset({"name"}), days=180, view_limit=None
        )
        with press_of(world) as press:
            pdf = await press.certificate(holder(held.holder), held.id)
        assert code_on(pdf) != partial.code

    play(url, tmp_path, clock, story)


def test_only_its_holder_gets_a_certificate_pressed(url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            for other in (world.registrar, world.approver, holder((await diploma(world, "李明", 2)).holder)):
                with pytest.raises(CredentialUnknown):
                    await press.certificate(other, held.id)
            with pytest.raises(SignInRequired):
                await press.certificate(None, held.id)
        assert await shares(world, held) == ()

    play(url, tmp_path, clock, story)


def test_nothing_new_is_sealed_of_a_revoked_record_and_the_old_file_says_so(
    url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            pdf = await press.certificate(holder(held.holder), held.id)
            await world.services.statuses.change(world.approver, held.id, Act.REVOKE, Reason.ISSUED_IN_ERROR, None)
            with pytest.raises(CertificateNotInForce):
                await press.certificate(holder(held.holder), held.id)
        assert (await world.services.desk.of_file(pdf)).outcome is Outcome.REVOKED

    play(url, tmp_path, clock, story)


def test_a_name_no_font_holds_is_found_beforehand_and_refused_before_a_code_is_made(
    url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        held = await diploma(world, "张\U0002a6d6")
        with press_of(world) as press:
            assert press.missing_character("张\U0002a6d6") == 0x2A6D6
            assert press.missing_character("𠮷田禾") is None
            with pytest.raises(GlyphMissing) as refusal:
                await press.certificate(holder(held.holder), held.id)
        assert (refusal.value.field, refusal.value.params["code_point"]) == ("name", "U+2A6D6")
        assert await shares(world, held) == ()

    play(url, tmp_path, clock, story)


def test_the_seal_names_the_school_and_its_key_has_one_certificate(url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            first = await press.certificate(holder(held.holder), held.id)
            clock.advance(DAY_S)
            second = await press.certificate(holder(held.holder), held.id)
        opened = [open_sealed_pdf(pdf, max_size=MAX_PDF_BYTES) for pdf in (first, second)]
        assert opened[0].certificate_der == opened[1].certificate_der
        assert [one.signing_time for one in opened] == [clock() - DAY_S, clock()]
        certificate = x509.load_der_x509_certificate(opened[0].certificate_der)
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert name.value == "湖南大学"
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [held.issuer_id]

    play(url, tmp_path, clock, story)


def test_what_is_pressed_after_the_documents_key_changed_is_valid_and_so_is_what_was_before(
    url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            before = await press.certificate(holder(held.holder), held.id)
            clock.advance(DAY_S)
            await world.keys.rotate(held.issuer_id, KeyPurpose.DOCUMENT)
            after = await press.certificate(holder(held.holder), held.id)
        keys = [open_sealed_pdf(pdf, max_size=MAX_PDF_BYTES).signer_public_jwk for pdf in (before, after)]
        assert keys[0] != keys[1]
        assert judged(world, before).outcome is Outcome.VALID
        assert judged(world, after).outcome is Outcome.VALID

    play(url, tmp_path, clock, story)


def test_a_page_sealed_with_another_schools_key_is_invalid(url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        other = Issuers(BASE).issuer_id(OTHER_SCHOOL)
        key = await world.keys.document_key(other)
        (accredited,) = await world.keys.accredited(other)

        class Impostor(PooledCertificatePress):
            async def _sealing(self, held: HeldCredential) -> Sealing:
                return Sealing(key, accredited, held.issuer_name, held.issuer_id)

        press = Impostor(
            wallet=world.services.wallet,
            sharing=world.services.sharing,
            keys=world.keys,
            issuers=Issuers(BASE),
            translators=translators(),
            clock=world.clock,
        )
        pdf = await press.certificate(holder(held.holder), held.id)
        press.close()
        verdict = judged(world, pdf)
        assert verdict.outcome is Outcome.INVALID
        assert [check.name for check in verdict.checks if check.result is not Result.PASS] == ["document"]

    play(url, tmp_path, clock, story)


def test_the_embedded_bundle_is_the_holders_own_with_every_claim(url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            pdf = await press.certificate(holder(held.holder), held.id)
        sealed = open_sealed_pdf(pdf, max_size=MAX_PDF_BYTES)
        own = await world.services.wallet.bundle(holder(held.holder), held.id)
        assert Bundle.parse(sealed.bundle).presentation == Bundle.parse(own).presentation
        assert sealed.attachment_name == "edutrust-bundle.json"

    play(url, tmp_path, clock, story)


def test_pages_are_set_on_the_presss_own_threads(
    url: str, tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def noting(view: CertificateView, *, fonts: FontSet) -> bytes:
        names.append(current_thread().name)
        return render_certificate(view, fonts=fonts)

    monkeypatch.setattr("adapters.certificate_press.render_certificate", noting)

    async def story(world: World) -> None:
        held = await diploma(world)
        with press_of(world) as press:
            await asyncio.gather(*(press.certificate(holder(held.holder), held.id) for _ in range(5)))

    play(url, tmp_path, clock, story)
    assert len(names) == 5
    assert {name.rpartition("_")[0] for name in names} == {"press"}
