"""Addresses somebody would register to have the service call what only the service can reach."""

from __future__ import annotations

from ipaddress import ip_address

# Names an attacker's DNS server answers as he likes, and names of clouds.
NAMES: dict[str, tuple[str, ...]] = {
    "loopback.evil.example": ("127.0.0.1",),
    "ten.evil.example": ("10.0.0.5",),
    "oneninetwo.evil.example": ("192.168.1.1",),
    "oneseventwo.evil.example": ("172.16.5.4",),
    "linklocal.evil.example": ("169.254.169.254",),
    "cgnat.evil.example": ("100.100.100.200",),
    "this.evil.example": ("0.0.0.0",),  # noqa: S104  # an address that must be refused
    "broadcast.evil.example": ("255.255.255.255",),
    "multicast.evil.example": ("224.0.0.251",),
    "benchmark.evil.example": ("198.18.0.1",),
    "six.evil.example": ("::1",),
    "unspecified.evil.example": ("::",),
    "mapped.evil.example": ("::ffff:127.0.0.1",),
    "mappedten.evil.example": ("::ffff:a00:1",),
    "compatible.evil.example": ("::127.0.0.1",),
    "nat64.evil.example": ("64:ff9b::7f00:1",),
    "sixtofour.evil.example": ("2002:7f00:1::",),
    "teredo.evil.example": ("2001:0:4136:e378:8000:63bf:80ff:fffe",),
    "unique.evil.example": ("fd00::1",),
    "uniqueec2.evil.example": ("fd00:ec2::254",),
    "linklocalsix.evil.example": ("fe80::1",),
    "zone.evil.example": ("fe80::1%eth0",),
    "sitelocal.evil.example": ("fec0::1",),
    "multisix.evil.example": ("ff02::1",),
    "documentation.evil.example": ("2001:db8::1",),
    "mixed.evil.example": ("93.184.215.14", "10.0.0.1"),
    "mixedlast.evil.example": ("93.184.215.14", "93.184.215.15", "127.0.0.1"),
    "mixedsix.evil.example": ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"),
    "nothing.evil.example": (),
    "words.evil.example": ("localhost",),
    "octal.evil.example": ("0177.0.0.1",),
    "metadata.google.internal": ("169.254.169.254",),
    "metadata": ("169.254.169.254",),
    "instance-data": ("169.254.169.254",),
    "localhost": ("127.0.0.1",),
    "localhost.localdomain": ("127.0.0.1",),
    "ip6-localhost": ("::1",),
    "kubernetes.default.svc": ("10.96.0.1",),
    "host.docker.internal": ("192.168.65.2",),
    "db": ("172.18.0.3",),
    "redis": ("172.18.0.4",),
    "127.0.0.1.nip.io": ("127.0.0.1",),
    "7f000001.nip.io": ("127.0.0.1",),
    "localtest.me": ("127.0.0.1",),
    "xn--11b4c3d.example": ("10.0.0.1",),
}

_BY_NUMBER = (
    *("127.0.0.1", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1"),  # noqa: S104  # an address that must be refused
    *("100.100.100.200", "169.254.169.254", "169.254.170.2", "169.254.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::ffff:127.0.0.1]"),
    *("[::ffff:7f00:1]", "[::FFFF:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"),
    *("[64:ff9b:1::a00:1]", "[2002:7f00:1::]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:db8::1]"),
    *("[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[fec0::1]", "[ff02::1]"),
    *("[::ffff:0:127.0.0.1]", "[100::1]", "[3fff::1]", "[5f00::1]"),
    # decimal, hexadecimal, octal, short, padded, with a dot at the end
    *(
        "2130706433",
        "3232235777",
        "2852039166",
        "017700000001",
        "0x7f000001",
        "0x7F.0x0.0x0.0x1",
        "0x7f.1",
        "0177.0.0.1",
    ),
    *(
        "0177.0.0.01",
        "127.1",
        "127.0.1",
        "10.1",
        "192.168.257",
        "127.0.0.1.",
        "127.000.000.001",
        "0",
        "0x0",
        "00000000",
    ),
    *("127.0.0.1%00", "127。0。0。1", "127．0．0．1", "①②⑦.0.0.1", "１２７.0.0.1", "127.0.0.١"),  # the trick
)

_WHOLE = (
    # who is asked, and who seems to be
    *("https://93.184.215.14@127.0.0.1/", "https://127.0.0.1:80@evil.example/", "https://user:pass@10.0.0.1/"),
    *("https://evil.example#@127.0.0.1/", "https://evil.example\\@127.0.0.1/", "https://127.0.0.1\\.evil.example/"),
    *("https://evil.example%40127.0.0.1/", "https://127.0.0.1%2f@evil.example/", "https:///127.0.0.1/"),
    *("https:127.0.0.1/", "https:/127.0.0.1/", "https:\\\\127.0.0.1/", "//127.0.0.1/", "127.0.0.1", "https://"),
    *(
        "https://127.0.0.1 .evil.example/",
        "https://127.0.0.1\t/",
        "https://127.0.0.1\n/",
        "https://127.0.0.1\r\nHost: x/",
    ),
    *("https://127.0.0.1\x00.evil.example/", " https://127.0.0.1/", "https://127.0.0.1:443:80/", "https://[::1/"),
    *("https://::1/", "https://[::1].evil.example/", "https://[127.0.0.1]/", "https://localhost:443/"),
    # other doors of the same house
    *("https://127.0.0.1:22/", "https://127.0.0.1:6379/", "https://127.0.0.1:5432/", "https://10.0.0.1:9200/_search"),
    *("https://169.254.169.254/latest/meta-data/iam/security-credentials/", "https://192.168.1.1:8443/admin"),
    *("https://127.0.0.1:0/", "https://127.0.0.1:65536/", "https://127.0.0.1:-1/", "https://127.0.0.1:0443/"),
    # without TLS, and other schemes
    *("http://127.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://evil.example/"),
    *(
        "HTTPS://127.0.0.1/",
        "HtTp://[::1]/",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO",
    ),
    *("dict://127.0.0.1:11211/stats", "ftp://127.0.0.1/", "ldap://127.0.0.1/", "jar:https://127.0.0.1!/", "data:,x"),
    *(
        "unix:///var/run/docker.sock",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
        "javascript:alert(1)",
        "netdoc:///x",
    ),
    *("https://LOCALHOST/", "https://LocalHost./", "https://localhost./", "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "https://locaⅼhost/"),
    *("https://METADATA.GOOGLE.INTERNAL/computeMetadata/v1/", "https://loopback.evil.example./"),
)

HOSTILE: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *(f"https://{host}/" for host in _BY_NUMBER),
            *(f"https://{host}/" for host in NAMES),
            *_WHOLE,
        )
    )
)
"""None of them may lead to a connection."""


def is_private(address: str) -> bool:
    """Say whether an address is one that only the inside can reach; the standard library's word, not the product's."""
    return not ip_address(address.partition("%")[0]).is_global
