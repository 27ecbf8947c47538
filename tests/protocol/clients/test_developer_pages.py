"""The developer pages behind the whole service: allowed by the operator's command, reached by a person at a browser."""

from __future__ import annotations

import json
import re
import subprocess

from tests.protocol.clients.service import EDUTRUST, Service
from tests.protocol.conformance.person import Page, Person


def command(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EDUTRUST, "developers", *words, "--data-dir", str(service.data_dir)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_person_the_operator_names_registers_a_trial_platform_and_tests_it(service: Service) -> None:
    assert command(service, "add", "nobody-of-this-name").returncode == 1
    added = command(service, "add", "wang", "--json")
    assert json.loads(added.stdout) == {"username": "wang", "action": "add"}, added.stderr
    assert "wang" in command(service, "list").stdout.split()

    person = Person(service.live, "wang")
    overview = person.go(f"{service.issuer}/developer")
    assert isinstance(overview, Page)
    [form] = [form for form in overview.forms if form.action == "/developer/clients"]
    forged = person.http.post(f"{service.issuer}/developer/clients", data={**form.values, "csrf": "forged"})
    assert forged.status_code == 403
    form.values |= {
        "name": "试验平台",
        "redirect_uris": "https://trial.example/callback",
        "method": "client_secret_basic",
    }
    made = person.press(form, alg="ES256", jwks="", post_logout_redirect_uris="")
    assert isinstance(made, Page)
    assert re.search(r"sandbox-[0-9a-f]{16}", made.text), made.text
    # Chinese names and several lines arrive as typed.
    [change] = [form for form in made.forms if re.fullmatch(r"/developer/clients/sandbox-\w+", form.action)]
    assert change.values["name"] == "试验平台"
    [test] = [form for form in made.forms if form.action.endswith("/test")]
    shown = person.press(test)
    assert isinstance(shown, Page)
    assert shown.text.count('<li class="card">') == 5
    client_id = re.findall(r"sandbox-[0-9a-f]{16}", made.text)[0]
    wrong = {"client_id": client_id, "redirect_uri": "https://trial.example/other", "response_type": "code"}
    refused = person.http.get(f"{service.issuer}/authorize", params=wrong)
    assert refused.status_code == 400
    seen = person.http.get(f"{service.issuer}/developer/clients/{client_id}").text
    assert "redirect_uri: not_registered" in seen
    assert refused.headers["x-correlation-id"] in seen
    assert "no-store" in person.http.get(f"{service.issuer}/developer").headers["cache-control"]

    assert command(service, "remove", "wang").returncode == 0
    assert command(service, "remove", "wang").returncode == 1
    assert person.http.get(f"{service.issuer}/developer").status_code == 403
