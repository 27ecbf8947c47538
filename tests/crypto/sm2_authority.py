"""A small public-key infrastructure made by the `openssl` command: roots, authorities, certificates, revocation lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from crypto.errors import TrustError
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend
from crypto.sm2_certificates import Certificate, KeyUse, read_certificate
from crypto.x509_chain import Chain, ChainPolicy, Revocation, check_chain
from crypto.x509_crl import RevocationList, read_crl
from tests.crypto.openssl_tool import DEFAULT_ID, openssl

CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
DAY = 86_400

LEAF = "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
SIGN = LEAF + "keyUsage=critical,digitalSignature,nonRepudiation\n"
ENCRYPT = LEAF + "keyUsage=critical,keyEncipherment,dataEncipherment\n"

_CONFIG = """
[ca]
default_ca=here
[here]
database={folder}/index.txt
crlnumber={folder}/crlnumber
certificate={certificate}
private_key={key}
default_md=sm3
crl_extensions=list
[list]
{extensions}
"""


@dataclass(frozen=True)
class Party:
    """A key and the certificate on it."""

    folder: Path
    name: str

    @property
    def key(self) -> Path:
        return self.folder / f"{self.name}.key"

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.pem"

    @property
    def certificate(self) -> Certificate:
        return read_certificate(self.file.read_bytes())


class Pki:
    """Makes parties in a folder; a name is a file's name and, where no other is given, the common name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _key(self, name: str, algorithm: tuple[str, ...]) -> Path:
        path = self.folder / f"{name}.key"
        if not path.exists():
            path.write_bytes(openssl("genpkey", *algorithm))
        return path

    def root(
        self,
        name: str,
        *,
        subject: str | None = None,
        extensions: str = CA,
        days: int = 3650,
        algorithm: tuple[str, ...] = ("-algorithm", "SM2"),
        distid: str = DEFAULT_ID,
    ) -> Party:
        party = Party(self.folder, name)
        key = self._key(name, algorithm)
        config = self.folder / f"{name}.cnf"
        config.write_text(f"[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\n{extensions}")
        digest = ("-sm3", "-sigopt", f"distid:{distid}") if "SM2" in algorithm else ("-sha256",)
        openssl(
            *("req", "-x509", "-new", "-config", config, "-key", key, "-utf8", "-subj", subject or f"/CN={name}"),
            *("-days", str(days), "-out", party.file, *digest),
        )
        return party

    def issue(
        self,
        issuer: Party,
        name: str,
        extensions: str | None,
        *,
        subject: str | None = None,
        days: int = 365,
        algorithm: tuple[str, ...] = ("-algorithm", "SM2"),
        distid: str = DEFAULT_ID,
        issuer_digest: str = "sm3",
    ) -> Party:
        party = Party(self.folder, name)
        key = self._key(name, algorithm)
        request, own = self.folder / f"{name}.csr", "SM2" in algorithm
        digest = ("-sm3", "-sigopt", f"distid:{DEFAULT_ID}") if own else ("-sha256",)
        openssl("req", "-new", "-key", key, "-utf8", "-subj", subject or f"/CN={name}", "-out", request, *digest)
        more: tuple[str | Path, ...] = ()
        if extensions is not None:
            path = self.folder / f"{name}.ext"
            path.write_text(extensions)
            more = ("-extfile", path)
        signing = ("-sm3", "-sigopt", f"distid:{distid}") if issuer_digest == "sm3" else (f"-{issuer_digest}",)
        openssl(
            *("x509", "-req", "-in", request, "-CA", issuer.file, "-CAkey", issuer.key, "-days", str(days)),
            *("-out", party.file, *signing, *(("-vfyopt", f"distid:{DEFAULT_ID}") if own else ()), *more),
        )
        return party

    def revoke_and_list(
        self,
        issuer: Party,
        name: str,
        *revoked: Party,
        distid: str = DEFAULT_ID,
        reason: str = "keyCompromise",
        extensions: str = "authorityKeyIdentifier=keyid",
        days: int = 30,
        key: Path | None = None,
    ) -> RevocationList:
        """Return a list by an issuer that names some certificates. `key` signs in place of the issuer's own."""
        folder = self.folder / f"ca-{name}"
        folder.mkdir()
        (folder / "index.txt").touch()
        (folder / "crlnumber").write_text("01\n")
        config = folder / "ca.cnf"
        config.write_text(
            _CONFIG.format(folder=folder, certificate=issuer.file, key=key or issuer.key, extensions=extensions)
        )
        signing = ("-config", config, "-md", "sm3", "-sigopt", f"distid:{distid}")
        for party in revoked:
            openssl("ca", *signing, "-revoke", party.file, "-crl_reason", reason)
        path = folder / "list.pem"
        openssl("ca", *signing, "-gencrl", "-crldays", str(days), "-out", path)
        return read_crl(path.read_bytes())


def policy_for(leaf: Certificate, **changes: object) -> ChainPolicy:
    policy = ChainPolicy(
        at=leaf.not_before + DAY,
        use=KeyUse.SIGN,
        extended_use=None,
        user_id=SM2_DEFAULT_ID,
        revocation=Revocation.NOT_ASKED,
    )
    return replace(policy, **changes)  # type: ignore[arg-type]  # the fields of the policy by name


def checked(
    backend: Sm2Backend,
    leaf: Party | Certificate,
    intermediates: Sequence[Party],
    anchor: Party,
    crls: Sequence[RevocationList] = (),
    **changes: object,
) -> Chain:
    certificate = leaf.certificate if isinstance(leaf, Party) else leaf
    return check_chain(
        certificate,
        [party.certificate for party in intermediates],
        [anchor.certificate],
        policy=policy_for(certificate, **changes),
        crls=crls,
        backend=backend,
    )


def refusal(
    backend: Sm2Backend,
    leaf: Party | Certificate,
    intermediates: Sequence[Party],
    anchor: Party,
    crls: Sequence[RevocationList] = (),
    **changes: object,
) -> tuple[type[TrustError], str | None, object]:
    with pytest.raises(TrustError) as refused:
        checked(backend, leaf, intermediates, anchor, crls, **changes)
    return type(refused.value), refused.value.rule, refused.value.params.get("depth")
