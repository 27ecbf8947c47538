"""Views, fonts and sealing keys the PDF tests share."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from credentials.formats.pdf_cms import der_signer
from credentials.formats.pdf_render import CertificateView, Column, FontSet, Row, load_fonts, render_certificate
from credentials.formats.pdf_seal import seal_pdf
from crypto.certificates import make_document_certificate
from crypto.keys import SigningKey, generate_signing_key
from crypto.sm2 import select_backend
from crypto.suites import Alg

FONTS_FOLDER = Path(__file__).parents[2] / "adapters" / "web" / "static" / "build" / "fonts"
SEALED_AT = 1_790_000_000
BUNDLE = b'{"type":"edutrust-bundle/1","presentation":"' + b"eyJhbGciOiJTR0RfU00zX1NNMiJ9." * 40 + b'"}'
ATTACHMENT = "edutrust-bundle.json"
NAMES = ("𠮷野太郎", "㐂田一", "䶮小明", "阿卜杜热合曼·买买提", "𡋾晓𠅤", "张三")


@cache
def fonts() -> FontSet:
    """Open the fonts `make setup` builds (adapters/web/fonts.sh)."""
    return load_fonts(FONTS_FOLDER, typesetters=2)


def diploma(**changes: object) -> CertificateView:
    """Describe a diploma; `changes` replace fields."""
    fields: dict[str, object] = {
        "kind": "diploma",
        "title_zh": "毕业证书",
        "title_en": "Certificate of Graduation",
        "school_zh": "北京某某大学",
        "school_en": "Beijing Example University",
        "holder_name": "张三",
        "holder_name_en": "Zhang San",
        "statement_zh": "在本校计算机科学与技术专业四年制本科学习，成绩合格，准予毕业。",
        "statement_en": "has completed the four-year undergraduate programme.",
        "rows": (
            Row("证书编号", "Certificate number", "100011202605000123"),
            Row("专业", "Programme", "计算机科学与技术", "Computer Science and Technology"),
            Row("签发日期", "Date of issue", "2026年7月1日", "1 July 2026"),
        ),
        "table_columns": (),
        "table_rows": (),
        "number": "100011202605000123",
        "link": "https://id.example/v/7KQ2M9XWTB4HD3NC",
        "code": "7KQ2M9XWTB4HD3NC",
        "verify_zh": "扫描二维码，或在核验页面输入核验码。",
        "verify_en": "Scan the code, or enter it on the verification page.",
        "notice_zh": "国家承认的学历、学位记录以学信网电子注册信息为准。",
        "notice_en": "The nationally recognised record remains the CHSI electronic registration.",
        "as_of_zh": "信息截至2026年11月22日",
        "as_of_en": "As of 22 November 2026",
    }
    return CertificateView(**{**fields, **changes})  # type: ignore[arg-type]  # the fields are named as the class names them


def credit_record(courses: int) -> CertificateView:
    """Describe a credit record of so many courses."""
    columns = (Column("课程", "Course"), Column("学期", "Term"), Column("学分", "Credits"), Column("成绩", "Grade"))
    table = tuple((f"高等数学第{number}讲", "2025-2026-1", "4.0", "92") for number in range(courses))
    return diploma(
        kind="credit_record", title_zh="学分记录", title_en="Credit Record", table_columns=columns, table_rows=table
    )


def copyright_registration() -> CertificateView:
    """Describe a registration with a fingerprint wider than its column."""
    rows = (
        Row("作品名称", "Title of work", "《初中物理“浮力”互动微课》", "Interactive micro-lesson on buoyancy"),
        Row("作品指纹", "Fingerprint (SM3)", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    )
    return diploma(kind="copyright_registration", title_zh="版权登记证书", title_en="Copyright Registration", rows=rows)


@cache
def school_key() -> SigningKey:
    """Return the school's document key of this run."""
    return generate_signing_key(Alg.ES256, backend=select_backend(("libcrypto", "gmssl")))


def certificate_of(key: SigningKey) -> bytes:
    """Return the self-issued certificate of a document key, valid around `SEALED_AT`."""
    year = 365 * 86_400
    return make_document_certificate(
        "北京某某大学", "https://id.example/schools/1", key, SEALED_AT - year, SEALED_AT + year, serial=4711
    )


@cache
def page() -> bytes:
    """Return an unsealed diploma."""
    return render_certificate(diploma(), fonts=fonts())


@cache
def sealed() -> bytes:
    """Return a diploma the school sealed."""
    return seal_pdf(
        page(),
        bundle=BUNDLE,
        attachment_name=ATTACHMENT,
        sign=der_signer(school_key()),
        certificate_der=certificate_of(school_key()),
        signing_time=SEALED_AT,
    )
