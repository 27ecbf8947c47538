"""The life of a record in real browsers: prepared, approved by another, held, shared, looked up, ended, revoked."""

from __future__ import annotations

import base64
import re
import subprocess

from playwright.sync_api import Browser, FilePayload, Page, expect

from adapters.demo.graduates import GRADUATES, BadRow
from tests.e2e import story
from tests.e2e.conftest import Stage
from tests.e2e.demo import ROOT, Demo
from tests.e2e.people import PHONE
from tests.e2e.story import COURSE, DIPLOMA, MISTAKEN_COURSE, STUDENT, STUDENT_NAME, WORK

CODE = re.compile(r"(?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}")
QR_READER = ROOT / "adapters" / "web" / "node_modules" / "qr"

# The faults in the order of the file, the column each is reported in, and a word of the sentence that says why.
FAULTS = {
    BadRow.CHECK_DIGIT: ("证件号码", "校验码"),
    BadRow.IMPOSSIBLE_DATE: ("毕业日期", "没有这一天"),
    BadRow.DUPLICATE_NUMBER: ("证书编号", "第 2 行"),
    BadRow.UNKNOWN_LEVEL: ("培养层次", "没有这种"),
    BadRow.UNKNOWN_SCHOOL: ("学校标识码", "没有这个"),
    BadRow.GRADUATED_BEFORE_ENTRY: ("毕业日期", "晚于入学"),
    BadRow.NO_NAME: ("姓名", "请填写"),
}


def _verdict(page: Page) -> str:
    """Return the verdict the page shows, by the class of its shape; word and shape always go together."""
    classes = (page.locator("section.verdict").get_attribute("class") or "").split()
    (verdict,) = set(classes) - {"verdict"}
    return verdict


def _enter(page: Page, demo: Demo, code: str) -> None:
    page.goto(f"{demo.origin}/verify")
    page.fill("#code", code)
    page.click("main form button[type=submit]")


def _drop(page: Page, demo: Demo, name: str, data: bytes) -> None:
    """Drop a file on the page, as from a folder, and send the form."""
    page.goto(f"{demo.origin}/verify")
    transfer = page.evaluate_handle(
        """([name, data]) => {
          const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name));
          return transfer;
        }""",
        [name, base64.b64encode(data).decode()],
    )
    page.dispatch_event("html", "drop", {"dataTransfer": transfer})
    expect(page.locator("[data-drop-name]")).to_contain_text(name)
    page.click("main form button[type=submit]")


def test_a_registrar_sees_each_bad_row_of_a_gb18030_list_with_line_field_and_rule(stage: Stage) -> None:
    assert stage.issued.preview == (GRADUATES, len(FAULTS))
    found = stage.issued.bad_rows
    assert [(line, field) for line, field, _ in found] == [
        (GRADUATES + 2 + place, column) for place, (column, _) in enumerate(FAULTS.values())
    ]
    for (_, _, sentence), (_, word) in zip(found, FAULTS.values(), strict=True):
        assert word in sentence


def test_who_prepared_a_batch_cannot_approve_it_and_another_person_can(stage: Stage) -> None:
    assert stage.issued.waiting_for_another
    assert stage.issued.bar == (GRADUATES, GRADUATES)
    with stage.people.at(stage.chromium, "a.approver") as page:
        for address in stage.issued.reports:
            page.goto(address)
            expect(page.locator(".tag.good")).to_be_visible()
        page.goto(stage.issued.diplomas)
        report = story.download(page, "a[href$='/report.csv']", stage.folder).decode("utf-8-sig")
        assert len(report.splitlines()) == GRADUATES + 1
        assert STUDENT_NAME in report


def test_the_student_with_a_rare_name_holds_all_three_kinds(stage: Stage) -> None:
    with stage.people.at(stage.chromium, STUDENT, viewport=PHONE) as page:
        for words in (DIPLOMA, COURSE, WORK):
            page.goto(story.credential_address(page, stage.demo, words))
            expect(page.locator("main")).to_contain_text(STUDENT_NAME)
            expect(page.locator("p .status.valid")).to_be_visible()


def test_a_shared_record_is_found_by_code_link_and_qr_code_and_shows_only_what_was_chosen(stage: Stage) -> None:
    demo, people, chromium = stage.demo, stage.people, stage.chromium
    with people.at(chromium, STUDENT, viewport=PHONE) as holder:
        address = story.credential_address(holder, demo, DIPLOMA)
        code, shared = story.share(holder, address, fields=("name", "major"), days=7)
        assert CODE.fullmatch(code)
        link = holder.locator("p.long a").get_attribute("href") or ""
        assert link == f"{demo.origin}/verify/{code}"
        assert _read_qr(chromium, holder.locator(".qr svg").screenshot()) == link

        with people.at(chromium, None, viewport=PHONE) as employer:
            # As people type it: small letters, spaces instead of dashes.
            _enter(employer, demo, code.lower().replace("-", " "))
            assert _verdict(employer) == "valid"
            expect(employer.locator("main")).to_contain_text(STUDENT_NAME)
            student = next(one for one in story.province().people if one.login == STUDENT).enrolment
            assert student.id_number is not None
            assert student.id_number.value not in employer.content()
            assert student.affiliation is not None
            assert str(student.affiliation.local_number) not in employer.content()
            employer.goto(link)
            assert _verdict(employer) == "valid"
            employer.goto(f"{demo.origin}/verify/{code[:-1]}{'2' if code[-1] != '2' else '3'}")
            expect(employer.locator("#code-error")).to_be_visible()

        # The holder sees who looked, and ends it; from then on the code opens nothing.
        holder.goto(address)
        expect(holder.locator("[aria-labelledby=looked] tbody tr", has_text=code)).to_have_count(2)
        holder.goto(shared)
        holder.click("form[action$='/end'] button")
        expect(holder.locator("#code-value")).not_to_be_attached()
        with people.at(chromium, None) as employer:
            _enter(employer, demo, code)
            expect(employer.locator("#code-error")).to_be_visible()
            expect(employer.locator("section.verdict")).not_to_be_attached()


def test_a_dropped_certificate_is_valid_its_text_bears_the_rare_name_and_an_altered_one_is_not_valid(
    stage: Stage,
) -> None:
    with stage.people.at(stage.chromium, STUDENT) as page:
        page.goto(story.credential_address(page, stage.demo, DIPLOMA))
        pdf = story.download(page, "a[href$='/certificate.pdf']", stage.folder)
        bundle = story.download(page, "a[href$='/bundle.json']", stage.folder)
    text = subprocess.run(["pdftotext", "-", "-"], input=pdf, stdout=subprocess.PIPE, check=True).stdout.decode()
    assert STUDENT_NAME in text
    with stage.people.at(stage.chromium, None) as employer:
        for name, data in (("证书.pdf", pdf), ("bundle.json", bundle)):
            _drop(employer, stage.demo, name, data)
            assert _verdict(employer) == "valid"
            expect(employer.locator("main")).to_contain_text(STUDENT_NAME)
        at = pdf.index(b"/Type")
        _drop(employer, stage.demo, "证书.pdf", pdf[:at] + b"/Tyqe" + pdf[at + 5 :])
        assert employer.locator("section.verdict.valid").count() == 0


def test_a_revoked_record_is_shown_as_revoked_to_whoever_looks(stage: Stage) -> None:
    demo, people, chromium = stage.demo, stage.people, stage.chromium
    with people.at(chromium, STUDENT) as holder:
        address = story.credential_address(holder, demo, MISTAKEN_COURSE)
        code, _ = story.share(holder, address, fields=("name",), days=30)
        with people.at(chromium, None) as employer:
            _enter(employer, demo, code)
            assert _verdict(employer) == "valid"
        with people.at(chromium, "a.approver") as approver:
            approver.goto(address.replace("/credentials/", "/records/"))
            approver.check("input[name=act][value=revoke]")
            approver.click("main form button[type=submit]")
            approver.select_option("#reason", "issued_in_error")
            approver.click("button[name=step][value=do]")
            expect(approver.locator("p .status.revoked")).to_be_visible()
        with people.at(chromium, None) as employer:
            _enter(employer, demo, code)
            assert _verdict(employer) == "revoked"
        holder.goto(address)
        expect(holder.locator("p .status.revoked")).to_be_visible()


def test_an_entry_of_the_public_log_proves_itself_in_the_browser(stage: Stage) -> None:
    with stage.people.at(stage.chromium, None) as page:
        page.goto(f"{stage.demo.origin}/log")
        assert STUDENT_NAME not in page.content()
        page.click("[aria-labelledby=entries] tbody a >> nth=0")
        expect(page.locator("p .status.valid")).to_be_visible()
        page.click("[data-proof-check]")
        box = page.locator("[data-proof]")
        expect(page.locator("[data-proof-result]")).to_have_text(box.get_attribute("data-good") or "-")
        # One changed sign of a root, or of a neighbour, in either tree.
        for name in ("root-sm3", "path-sm3", "root-sha256", "path-sha256"):
            held = box.get_attribute(f"data-{name}") or ""
            bent = ("0" if held[0] != "0" else "1") + held[1:]
            box.evaluate("(box, [name, value]) => box.setAttribute(name, value)", [f"data-{name}", bent])
            page.click("[data-proof-check]")
            expect(page.locator("[data-proof-result]")).to_have_text(box.get_attribute("data-bad") or "-")
            box.evaluate("(box, [name, value]) => box.setAttribute(name, value)", [f"data-{name}", held])


def test_an_auditor_sees_the_trail_and_a_student_does_not(stage: Stage) -> None:
    with stage.people.at(stage.chromium, "a.auditor") as page:
        page.goto(f"{stage.demo.origin}/audit")
        expect(page.locator("table tbody tr").first).to_be_visible()
    with stage.people.at(stage.chromium, STUDENT) as page:
        answer = page.goto(f"{stage.demo.origin}/audit")
        assert answer is not None
        assert answer.status == 403


def test_a_list_that_is_no_list_is_refused_at_its_field_in_words(stage: Stage) -> None:
    with stage.people.at(stage.chromium, "a.registrar") as page:
        page.goto(f"{stage.demo.origin}/batches/new/diploma")
        payload: FilePayload = {"name": "x.csv", "mimeType": "text/csv", "buffer": b"\x00\xff\xfe not a list"}
        page.set_input_files("#file", files=payload)
        page.click("main form button[type=submit]")
        expect(page.locator(".error-summary a[href='#file']")).to_be_visible()
        expect(page.locator("#file-error")).to_be_visible()


def _read_qr(chromium: Browser, picture: bytes) -> str:
    """Read a picture's QR code with a reader that is not ours, in a page of its own."""
    context = chromium.new_context()
    page = context.new_page()

    def serve(name: str) -> None:
        body = (QR_READER / name).read_text("utf-8")
        page.route(f"**/{name}", lambda route: route.fulfill(body=body, content_type="text/javascript"))

    serve("decode.js")
    serve("index.js")
    page.route("**/reader", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto("http://localhost/reader")
    read: str = page.evaluate(
        """async (picture) => {
          const { default: decode } = await import("/decode.js");
          const image = new Image();
          image.src = "data:image/png;base64," + picture;
          await image.decode();
          const edge = 40;
          const canvas = new OffscreenCanvas(image.width + 2 * edge, image.height + 2 * edge);
          const pen = canvas.getContext("2d");
          pen.fillStyle = "#fff";
          pen.fillRect(0, 0, canvas.width, canvas.height);
          pen.drawImage(image, edge, edge);
          return decode(pen.getImageData(0, 0, canvas.width, canvas.height));
        }""",
        base64.b64encode(picture).decode(),
    )
    context.close()
    return read
