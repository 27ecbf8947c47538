"""The refusals of `credentials`. A code never changes once released; parameters never carry personal data."""

from __future__ import annotations

from crypto.errors import TrustError


class CredentialsError(TrustError):
    """The root of everything this package refuses."""

    code = "credentials.error"


class Unreadable(CredentialsError):
    """Bytes that are no bundle, receipt or sealed PDF at all: nothing can be said about them."""

    code = "credentials.unreadable"


class DocumentAltered(CredentialsError):
    """A sealed PDF whose bytes are no longer those that were signed."""

    code = "credentials.document_altered"


class SdJwtRefused(CredentialsError):
    """An SD-JWT that breaks a rule of RFC 9901; `rule` names it."""

    code = "credentials.sd_jwt_refused"


class KeyBindingRefused(CredentialsError):
    """A key binding JWT that is missing, stale, of another audience or nonce, or not made by the holder's key."""

    code = "credentials.key_binding_refused"


class StatusRefused(CredentialsError):
    """A status list or status list token that is malformed, of another list, or has no such index."""

    code = "credentials.status_refused"


class AccreditationRefused(CredentialsError):
    """A chain of accreditation that is malformed, broken, out of its time, or wider than its parent."""

    code = "credentials.accreditation_refused"


class AccreditorUnknown(CredentialsError):
    """A chain whose root is none of the trust anchors: neither good nor bad, unknown."""

    code = "credentials.accreditor_unknown"


class TrustRefused(CredentialsError):
    """A trust file that is not one."""

    code = "credentials.trust_refused"


class UploadRefused(CredentialsError):
    """An uploaded file of rows that cannot be read at all (no header, too many rows)."""

    code = "credentials.upload_refused"


class RecordRefused(CredentialsError):
    """One record that breaks a rule of its kind; `field` and `rule` name both."""

    code = "credentials.record_refused"


class AlreadyRegistered(CredentialsError):
    """The same work is registered already; `number` names the earlier registration."""

    code = "credentials.already_registered"


class BatchUnknown(CredentialsError):
    """No batch of that id within the actor's reach."""

    code = "credentials.batch_unknown"


class BatchStateRefused(CredentialsError):
    """The batch is not in the state this step starts from; `rule` names the state it is in."""

    code = "credentials.batch_state_refused"


class BatchAltered(CredentialsError):
    """What is stored of a batch is no longer what its approver signed: nothing of it is issued."""

    code = "credentials.batch_altered"


class CredentialUnknown(CredentialsError):
    """No credential of that id within the caller's reach."""

    code = "credentials.credential_unknown"


class StatusChangeRefused(CredentialsError):
    """A change of status the present status does not allow, or whose reason is unknown."""

    code = "credentials.status_change_refused"


class ShareRefused(CredentialsError):
    """A share outside its bounds (days, fields, view limit)."""

    code = "credentials.share_refused"


class ShareUnknown(CredentialsError):
    """No share has that verification code."""

    code = "credentials.share_unknown"


class ShareEnded(CredentialsError):
    """The share exists and no longer opens; `rule` is expired, revoked or view_limit."""

    code = "credentials.share_ended"


class KeyUnavailable(CredentialsError):
    """No usable signing key for this owner and purpose."""

    code = "credentials.key_unavailable"
