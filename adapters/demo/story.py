"""The whole story through the real pages, without a browser: sign in, issue, hold, share, verify, look behind, sign out.

Each step is a named act of one person and is checked by what the next person sees. The first thing that is not as it
must be ends the story with `StoryBroken`.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from adapters.demo.graduates import BadRow, graduates_csv
from adapters.demo.population import DemoPerson, DemoProvince
from adapters.demo.seed import DemoPorts, DemoSecrets
from adapters.demo.visitor import Page, StoryBroken, Visitor
from crypto.encoding import b64u_encode
from crypto.jws import verify_jwt
from crypto.keys import parse_jwks
from crypto.otp import totp
from crypto.suites import Alg, Purpose, policy

TIMEOUT_S: Final = 60.0
ISSUED_WITHIN_S: Final = 120.0
BAD_ROWS: Final = (BadRow.CHECK_DIGIT, BadRow.IMPOSSIBLE_DATE, BadRow.UNKNOWN_LEVEL)
_NONCE: Final = "edutrust-demo-nonce"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step, whether it went as it must, and how long it took."""

    name: str
    ok: bool
    ms: int
    problem: str | None


@dataclass
class Story:
    """Everything the steps hand on to each other."""

    issuer: str
    ports: DemoPorts
    province: DemoProvince
    secrets: DemoSecrets
    folder: Path
    student: Visitor
    registrar: Visitor
    approver: Visitor
    auditor: Visitor
    employer: Visitor
    code: str = ""
    credential: str = ""
    results: list[StepResult] = field(default_factory=list)

    @property
    def holder(self) -> DemoPerson:
        """The student of the story, who bears a name beyond the basic plane."""
        return self.province.students(self.province.schools[0].code)[0]

    async def play(self) -> bool:
        """Play every step in order; stop at the first that fails. Returns whether all went well."""
        for step in (
            self.student_signs_in_to_the_learning_platform,
            self.library_lets_the_student_in_without_a_prompt,
            self.national_platform_gets_sm2_tokens_and_a_replayed_refresh_token_kills_its_family,
            self.registrar_uploads_graduates_and_sees_the_bad_rows,
            self.approver_approves_and_the_batch_is_issued,
            self.credit_record_is_issued,
            self.copyright_registration_is_issued,
            self.student_holds_and_downloads,
            self.student_shares_chosen_fields,
            self.employer_enters_the_code,
            self.employer_drops_the_files,
            self.auditor_looks_behind,
            self.student_signs_out_everywhere,
        ):
            await self._timed(step)
            if not self.results[-1].ok:
                return False
        return True

    async def _timed(self, step: Callable[[], Awaitable[None]]) -> None:
        begun, problem = time.monotonic(), None
        try:
            await step()
        except StoryBroken as broken:
            problem = str(broken)
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            problem = f"{type(error).__name__}: the service did not answer"
        ms = round((time.monotonic() - begun) * 1000)
        self.results.append(StepResult(step.__name__, problem is None, ms, problem))

    # Sign-in

    async def student_signs_in_to_the_learning_platform(self) -> None:
        """Password, one-time code, consent; back at the platform with a pairwise subject."""
        page = await self.student.get(f"http://127.0.0.1:{self.ports.learning}/login")
        page = await self._sign_in(self.student, page, self.holder.login)
        page = await self.student.submit(page.form_to("/signin/consent"), {"scope_edu": "yes"})
        _expect(page, page.identified.get("alg") == "ES256", "an ES256 ID token")
        _expect(page, page.identified.get("acr") == "urn:edutrust:acr:2", "two factors")
        _expect(page, str(self.province.schools[0].code) in page.text, "the school code")

    async def library_lets_the_student_in_without_a_prompt(self) -> None:
        """Single sign-on: no page of ours in between, another subject, another algorithm."""
        learning = await self.student.get(f"http://127.0.0.1:{self.ports.learning}/")
        page = await self.student.get(f"http://127.0.0.1:{self.ports.library}/login")
        _expect(page, page.identified.get("alg") == "RS256", "the library's page with an RS256 ID token")
        _expect(page, page.identified["sub"] != learning.identified["sub"], "another pairwise subject")

    async def national_platform_gets_sm2_tokens_and_a_replayed_refresh_token_kills_its_family(self) -> None:
        """Play a platform with national cryptography by hand, down to the reuse of a refresh token."""
        callback = f"http://127.0.0.1:{self.ports.learning}/national/callback"
        verifier = secrets.token_urlsafe(32)
        query = {
            "response_type": "code", "client_id": "demo-national", "redirect_uri": callback,
            "scope": "openid offline_access", "state": "demo", "nonce": _NONCE,
            "code_challenge": b64u_encode(hashlib.sha256(verifier.encode()).digest()), "code_challenge_method": "S256", "prompt": "consent",
        }  # fmt: skip
        page = await self.student.get(f"{self.issuer}/authorize?{urlencode(query)}")
        page = await self.student.submit(page.form_to("/signin/consent"), {"scope_offline_access": "yes"})
        code = parse_qs(urlsplit(page.url).query).get("code", [""])[0]
        _expect(page, bool(code), "a code at the platform's callback")
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as platform:
            first = await self._token(platform, grant, expected=200)
            keys = parse_jwks((await platform.get(f"{self.issuer}/jwks/national")).json(), alg=Alg.SGD_SM3_SM2)
            identity = verify_jwt(
                first["id_token"], keys={key.kid: key for key in keys}, policy=policy(Purpose.ID_TOKEN)
            )
            if identity.header["alg"] != "SGD_SM3_SM2" or identity.claims["nonce"] != _NONCE:
                raise StoryBroken("the national platform's ID token is not an SM2 token of this request")
            refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
            second = await self._token(platform, refresh, expected=200)
            await self._token(platform, refresh, expected=400)
            after = {"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}
            await self._token(platform, after, expected=400)

    async def _token(self, platform: httpx.AsyncClient, form: dict[str, str], *, expected: int) -> dict[str, Any]:
        credentials = ("demo-national", self.secrets.client_secrets["demo-national"])
        answer = await platform.post(f"{self.issuer}/token", data=form, auth=credentials)
        if answer.status_code != expected:
            problem = answer.json().get("error_description", "") if answer.status_code >= 400 else ""
            raise StoryBroken(f"the token endpoint answered {answer.status_code} to {form['grant_type']} {problem}")
        body: dict[str, Any] = answer.json()
        return body

    async def _sign_in(self, visitor: Visitor, page: Page, login: str) -> Page:
        """Type name and password, bind a phone's one-time code, and return the page after."""
        page = await visitor.submit(
            page.form_with("username", "password"), {"username": login, "password": self.secrets.password}
        )
        seed = page.identified.get("totp-seed", "").replace(" ", "")
        _expect(page, bool(seed), "the binding of a one-time code")
        return await visitor.submit(
            page.form_to("/signin/enrol"), {"code": totp(base64.b32decode(seed), int(time.time()))}
        )

    # Issue

    async def registrar_uploads_graduates_and_sees_the_bad_rows(self) -> None:
        """Two hundred good rows and three bad ones, in GB18030; the bad ones named by line, the good ones sent on."""
        school = self.province.schools[0].code
        people = self.province.students(school)
        made = graduates_csv(school, people, year=self.province.graduation_year, encoding="GB18030", bad_rows=BAD_ROWS)
        page = await self.registrar.get(f"{self.issuer}/batches/new/diploma")
        page = await self._sign_in(self.registrar, page, "a.registrar")
        page = await self.registrar.submit(
            page.form_to("/batches/new/diploma"), files={"file": ("graduates.csv", made.data, "text/csv")}
        )
        for line, _ in made.bad:
            _expect(page, re.search(rf"<td[^>]*>{line}</td>", page.text) is not None, f"the bad row of line {line}")
        page = await self.registrar.submit(page.form_to("/submit"))
        _expect(page, page.status == 200, "the batch, waiting for its approval")

    async def approver_approves_and_the_batch_is_issued(self) -> None:
        """Another person looks and approves; then every diploma is signed, logged and anchored."""
        page = await self.approver.get(f"{self.issuer}/batches")
        page = await self._sign_in(self.approver, page, "a.approver")
        await self._approve_newest(page)

    async def _approve_newest(self, page: Page) -> None:
        batch = next((link for link in page.links if re.fullmatch(r".*/batches/[A-Za-z0-9_-]{16,}", link)), None)
        if batch is None:
            raise StoryBroken("the approver's list has no batch")
        page = await self.approver.get(batch)
        page = await self.approver.submit(page.form_to("/approve"), {"looked": "yes"})
        deadline = time.monotonic() + ISSUED_WITHIN_S
        while time.monotonic() < deadline:
            page = await self.approver.get(batch)
            if "/report.csv" in page.text:
                return
        raise StoryBroken("the batch was not issued in time")

    async def credit_record_is_issued(self) -> None:
        """Take the same path for a credit-bank record."""
        holder = self.holder.enrolment
        page = await self.registrar.get(f"{self.issuer}/batches/new/credit_record")
        page = await self.registrar.submit(
            page.form_to("/batches/new/credit_record"),
            {
                "person": await self._person_number(), "name": holder.real_name, "achievement": "数据结构",
                "achievement_code": "CS-201", "credits": "3.5", "hours_learned": "56", "grade": "92",
                "recognised_on": f"{self.province.graduation_year}-06-20",
            },
        )  # fmt: skip
        await self.registrar.submit(page.form_to("/submit"))
        await self._approve_newest(await self.approver.get(f"{self.issuer}/batches"))

    async def copyright_registration_is_issued(self) -> None:
        """Take the same path for a resource's copyright, by the SM3 of the file."""
        page = await self.registrar.get(f"{self.issuer}/batches/new/copyright_registration")
        form = page.form_to("/batches/new/copyright_registration")
        licence = next(value for name, value in form.checkboxes if name == "licence")
        page = await self.registrar.submit(
            form,
            {
                "title": "数据结构课堂讲义", "person": await self._person_number(),
                "name": self.holder.enrolment.real_name, "licence": licence,
            },
            files={"file": ("notes.txt", "链表、栈与队列\n".encode(), "text/plain")},
        )  # fmt: skip
        await self.registrar.submit(page.form_to("/submit"))
        await self._approve_newest(await self.approver.get(f"{self.issuer}/batches"))

    async def _person_number(self) -> str:
        home = await self.student.get(f"{self.issuer}/home")
        found = re.search(r"\d{4}-\d{4}-\d{4}-\d{4}", home.text)
        if found is None:
            raise StoryBroken("the student's home does not show the person number")
        return found[0]

    # Hold and share

    async def student_holds_and_downloads(self) -> None:
        """See all three credentials as the student and download the bundle, the receipt and the sealed PDF."""
        wallet = await self.student.get(f"{self.issuer}/credentials")
        own = [link for link in wallet.links if re.fullmatch(r".*/credentials/[A-Za-z0-9_-]{8,}", link)]
        _expect(wallet, len(set(own)) == 3, "three credentials")
        for link in own:
            page = await self.student.get(link)
            if any("/certificate.pdf" in one for one in page.links) and "毕业" in page.text:
                self.credential = link
                break
        for remote, local in (
            ("bundle.json", "credential.json"),
            ("receipt.json", "receipt.json"),
            ("certificate.pdf", "certificate.pdf"),
        ):
            answer = await self.student.get(f"{self.credential}/{remote}")
            _expect(answer, answer.status == 200, remote)
            (self.folder / local).write_bytes(answer.content)
        trust = await self.employer.get(f"{self.issuer}/trust.json")
        (self.folder / "trust.json").write_bytes(trust.content)

    async def student_shares_chosen_fields(self) -> None:
        """Name and number of the diploma for thirty days; a code, a link, a QR code."""
        page = await self.student.get(f"{self.credential}/share")
        chosen = {"fields": ["name", "certificate_number"], "days_choice": "30"}
        page = await self.student.submit(page.form_with("fields", "days_choice"), chosen)
        page = await self.student.submit(page.form_to("/share"), button=("step", "create"))
        found = re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\b", page.text)
        _expect(page, found is not None and "<svg" in page.text, "a code and a QR code")
        self.code = found[0] if found else ""

    # Verify

    async def employer_enters_the_code(self) -> None:
        """No sign-in: one verdict, and only the fields the student chose."""
        page = await self.employer.get(f"{self.issuer}/verify")
        page = await self.employer.submit(page.form_to("/verify"), {"code": self.code})
        _expect(page, "有效" in page.text and self.holder.enrolment.real_name in page.text, "the verdict valid")
        student_number = self.holder.enrolment.affiliation.local_number if self.holder.enrolment.affiliation else None
        _expect(page, student_number is None or student_number not in page.text, "no field that was not shared")

    async def employer_drops_the_files(self) -> None:
        """Get the verdict of the PDF, the bundle and the receipt too, and not of the PDF with one byte changed."""
        for name, kind in (("certificate.pdf", "pdf"), ("credential.json", "json"), ("receipt.json", "json")):
            page = await self._drop(name, (self.folder / name).read_bytes(), kind)
            _expect(
                page,
                "verdict valid" in page.text or "verdict-valid" in page.text or "有效" in page.text,
                f"{name} valid",
            )
        altered = bytearray((self.folder / "certificate.pdf").read_bytes())
        altered[len(altered) // 3] ^= 1
        page = await self._drop("altered.pdf", bytes(altered), "pdf")
        _expect(page, "有效</" not in page.text, "an altered PDF refused")

    async def _drop(self, name: str, data: bytes, kind: str) -> Page:
        page = await self.employer.get(f"{self.issuer}/verify")
        upload = {"file": (name, data, f"application/{kind}")}
        return await self.employer.submit(page.form_to("/verify"), files=upload)

    # Look behind, and leave

    async def auditor_looks_behind(self) -> None:
        """Read the trail as the auditor and, as anybody, the public log and an entry's proof."""
        page = await self.auditor.get(f"{self.issuer}/audit")
        page = await self._sign_in(self.auditor, page, "a.auditor")
        _expect(page, page.status == 200 and "/audit" in page.url, "the audit trail")
        page = await self.employer.get(f"{self.issuer}/log")
        _expect(page, "<svg" in page.text and "evm:" in page.text, "the log's picture and its anchors")
        page = await self.employer.get(f"{self.issuer}/log/0")
        _expect(page, page.status == 200, "the first entry with its proof")

    async def student_signs_out_everywhere(self) -> None:
        """Signing out at one platform ends the session here and, by the back channel, at the other."""
        page = await self.student.get(f"http://127.0.0.1:{self.ports.learning}/")
        page = await self.student.submit(page.form_to("/logout"))
        _expect(page, "/signed-out" in page.url, "the way back to the platform")
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            library = await self.student.get(f"http://127.0.0.1:{self.ports.library}/")
            if "sub" not in library.identified:
                return
        raise StoryBroken("the library was not told of the sign-out")


def _expect(page: Page, held: bool, what: str) -> None:
    if not held:
        raise StoryBroken(f"{page.url.split('?')[0]} ({page.status}) does not show {what}")
