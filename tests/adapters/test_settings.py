"""Settings: read once, checked all together, every mistake said at once by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.settings import SettingsRefused, check_settings, read_settings

GOOD: Mapping[str, Any] = {
    "issuer": "https://id.example.edu.cn",
    "database_url": "postgresql://u:p@db/edutrust",
    "region": "410000",
    "trusted_proxies": ["10.0.0.0/8", "2001:db8::/32"],
    "outbound_allowed": ["10.0.0.5:8443", "[fd00::1]:443", "platform.inside:80"],
}


def test_nothing_at_all_is_a_service_on_loopback_with_its_own_files() -> None:
    settings = check_settings({})
    assert settings.issuer == "http://127.0.0.1:8080"
    assert settings.embedded
    assert settings.kek_file == settings.data_dir / "kek"


def test_good_settings_are_taken_as_they_are() -> None:
    settings = check_settings(GOOD)
    assert settings.log_origin == "id.example.edu.cn/log"
    assert not settings.embedded
    with pytest.raises(AttributeError):
        settings.issuer = "https://other.example"  # type: ignore[misc]  # frozen: that is what is tested


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    file = tmp_path / "edutrust.toml"
    file.write_text('port = 1111\nregion = "420000"\nhost = "::1"\n')
    settings = read_settings(file, {"EDUTRUST_PORT": "2222", "EDUTRUST_REGION": "430000", "PATH": "/"}, {"port": 3333})
    assert (settings.port, settings.region, settings.host) == (3333, "430000", "::1")
    assert settings.issuer == "http://[::1]:3333"


@pytest.mark.parametrize(
    ("change", "setting", "rule"),
    [
        ({"issuer": "http://id.example.edu.cn"}, "issuer", "https"),
        ({"issuer": "https://id.example.edu.cn/"}, "issuer", "exact"),
        ({"issuer": "https://id.example.edu.cn?a"}, "issuer", "exact"),
        ({"issuer": "https://id.example.edu.cn#a"}, "issuer", "exact"),
        ({"issuer": "https://id.example.edu.cn/a"}, "issuer", "path"),
        ({"issuer": "https://user@id.example.edu.cn"}, "issuer", "url"),
        ({"issuer": "id.example.edu.cn"}, "issuer", "url"),
        ({"issuer": "https://[::1"}, "issuer", "url"),
        ({"issuer": 7}, "issuer", "text"),
        ({"port": 0}, "port", "range"),
        ({"port": 65536}, "port", "range"),
        ({"port": "80a"}, "port", "range"),
        ({"port": True}, "port", "range"),
        ({"database_url": "mysql://x"}, "database_url", "scheme"),
        ({"database_url": "sqlite:////elsewhere"}, "database_url", "data_dir"),
        ({"redis_url": "http://127.0.0.1"}, "redis_url", "url"),
        ({"redis_url": "redis://"}, "redis_url", "url"),
        ({"redis_url": "redis://h:port/0"}, "redis_url", "url"),
        ({"redis_url": "redis://h/name"}, "redis_url", "url"),
        ({"redis_url": "redis://h/0#x"}, "redis_url", "url"),
        ({"redis_url": "rediss://h/0?ssl_cert_reqs=none"}, "redis_url", "options"),
        ({"redis_url": "redis://h/0?socket_timeout=900"}, "redis_url", "options"),
        ({"redis_url": "redis://h/0?ssl_ca_certs=/ca.pem"}, "redis_url", "options"),
        ({"region": "41"}, "region", "digits"),
        ({"region": "４１００００"}, "region", "digits"),
        ({"log_origin": "a b"}, "log_origin", "form"),
        ({"log_origin": "a+b"}, "log_origin", "form"),
        ({"outbound_allowed": ["10.0.0.5"]}, "outbound_allowed", "host_port"),
        ({"outbound_allowed": ["http://10.0.0.5:80"]}, "outbound_allowed", "host_port"),
        ({"outbound_allowed": [7]}, "outbound_allowed", "list"),
        ({"trusted_proxies": ["everyone"]}, "trusted_proxies", "network"),
        ({"tls_cert": "/none.pem"}, "tls_cert", "pair"),
        ({"tls_cert": "/none.pem", "tls_key": "/none.key"}, "tls_key", "file"),
        ({"second_factor_for_all": "perhaps"}, "second_factor_for_all", "flag"),
        ({"password_scheme": "md5"}, "password_scheme", "choice"),
        ({"sm2_curve": "P-256"}, "sm2_curve", "choice"),
        ({"sm2_backend": "gmssl"}, "sm2_backend", "private_keys"),
        ({"sm2_backend": "botan"}, "sm2_backend", "choice"),
        ({"cpu": "sse9"}, "cpu", "choice"),
        ({"evm_rpc_url": "http://127.0.0.1:8545"}, "evm_rpc_url", "together"),
        ({"workers": 0}, "workers", "range"),
        ({"workers": 65}, "workers", "range"),
        ({"worker": 4}, "worker", "known"),
        ({"isuer": "https://id.example.edu.cn"}, "isuer", "known"),
    ],
)
def test_a_mistake_is_named_by_its_setting_and_its_rule(change: Mapping[str, Any], setting: str, rule: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        check_settings({**GOOD, **change})
    assert (setting, rule) in {(problem.setting, problem.rule) for problem in caught.value.problems}
    assert setting in str(caught.value)


def test_every_mistake_is_said_at_once_and_no_secret_with_it() -> None:
    with pytest.raises(SettingsRefused) as caught:
        check_settings({**GOOD, "port": -1, "region": "x", "database_url": "mysql://u:hunter2@db/x"})
    assert {problem.setting for problem in caught.value.problems} == {"port", "region", "database_url"}
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_passwords_of_addresses_are_neither_shown_nor_told() -> None:
    given_values = {
        **GOOD,
        "redis_url": "rediss://u:hunter2@r:6379/0?ssl_ca_certs=/ca.pem",
        "database_url": "postgresql://u:hunter2@db/x",
    }
    settings = check_settings(given_values)
    assert settings.redis_url == given_values["redis_url"]
    assert "hunter2" not in repr(settings)
    for wrong in ("redis://u:hunter2@h:x/0", "rediss://u:hunter2@h/0?ssl_cert_reqs=none"):
        with pytest.raises(SettingsRefused) as caught:
            check_settings({**GOOD, "redis_url": wrong})
        assert "hunter2" not in str(caught.value) + repr(caught.value.problems)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for content in (b"port = ", b"\xff"):
        (tmp_path / "a.toml").write_bytes(content)
        with pytest.raises(SettingsRefused, match="settings file"):
            read_settings(tmp_path / "a.toml", {}, {})
    with pytest.raises(SettingsRefused, match="cannot be read"):
        read_settings(tmp_path / "none.toml", {}, {})


def test_the_processor_mode_is_named_in_the_environment_because_a_file_would_be_read_too_late(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('cpu = "portable"\n')
    with pytest.raises(SettingsRefused, match="EDUTRUST_CPU"):
        read_settings(tmp_path / "a.toml", {}, {})
    assert read_settings(None, {"EDUTRUST_CPU": "portable"}, {}).cpu == "portable"


@given(st.dictionaries(st.sampled_from(["issuer", "port", "redis_url", "region", "trusted_proxies", "tls_cert", "log_origin", "host"]),
                       st.text() | st.integers() | st.booleans() | st.lists(st.text())))  # fmt: skip
def test_whatever_is_given_is_taken_or_refused_never_a_crash(given_values: dict[str, Any]) -> None:
    try:
        check_settings(given_values)
    except SettingsRefused:
        return
