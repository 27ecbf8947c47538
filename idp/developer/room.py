"""The developer's room put together: constructor calls, nothing else."""

from __future__ import annotations

from typing import Protocol

from starlette.routing import Route

from idp.audit import Acts
from idp.developer.pages import DeveloperPages
from idp.developer.trial import Trials
from idp.id_token import IdTokens
from idp.model import Clock, RandomBytes
from idp.pages.render import Render
from idp.people import People
from idp.session.sign_in import Sessions
from idp.store import AccessStore
from idp.subject import SubjectIdentifiers
from idp.transient import TransientStore


class Shared(Protocol):
    """What the provider's rooms share."""

    @property
    def acts(self) -> Acts:
        """The audit trail."""

    @property
    def people(self) -> People:
        """Profiles."""

    @property
    def sessions(self) -> Sessions:
        """Sign-ins."""

    @property
    def id_tokens(self) -> IdTokens:
        """Signs ID tokens."""

    @property
    def subjects(self) -> SubjectIdentifiers:
        """Computes subjects."""


class Outside(Protocol):
    """What the composition root passes in."""

    @property
    def store(self) -> AccessStore:
        """The database."""

    @property
    def transient(self) -> TransientStore:
        """Short-lived state."""

    @property
    def render(self) -> Render:
        """The pages' frame."""

    @property
    def clock(self) -> Clock:
        """Seconds since the epoch."""

    @property
    def random_bytes(self) -> RandomBytes:
        """The system's generator."""


def developer_routes(issuer: str, shared: Shared, outside: Outside) -> list[Route]:
    """Return the routes of `/developer…`."""
    trials = Trials(
        issuer,
        transient=outside.transient,
        id_tokens=shared.id_tokens,
        subjects=shared.subjects,
        people=shared.people,
        random_bytes=outside.random_bytes,
    )
    pages = DeveloperPages(
        issuer,
        sessions=shared.sessions,
        clients=outside.store,
        sandboxes=outside.store,
        trials=trials,
        acts=shared.acts,
        render=outside.render,
        clock=outside.clock,
        random_bytes=outside.random_bytes,
    )
    return pages.routes()
