"""What a request is refused with: one error of ours, which every interface writes in its own form."""

from __future__ import annotations

from birefvideo.errors import BirefvideoError, DeviceError, InputError, ModelError, OptionError

_KINDS = {
    OptionError: (400, "bad_option"),
    InputError: (422, "bad_input"),
    ModelError: (422, "no_weights"),
    DeviceError: (422, "no_device"),
}
"""Status and kind of our own errors, where they are the request's and not ours."""


class RefusedError(BirefvideoError):
    """A request that is not carried out.

    Args:
        status: the HTTP status.
        kind: one word for programs, such as 'not_found'.
        message: one line for people.
        retry_after: seconds after which it may be asked again.
    """

    def __init__(self, status: int, kind: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.retry_after = retry_after


def refusal(error: BirefvideoError) -> RefusedError:
    """Return any error of ours as one that a request is refused with."""
    if isinstance(error, RefusedError):
        return error
    status, kind = next((found for base, found in _KINDS.items() if isinstance(error, base)), (500, "failed"))
    return RefusedError(status, kind, str(error))


def not_found(what: str) -> RefusedError:
    """Return what to raise where a job, an upload or a file is not there."""
    return RefusedError(404, "not_found", f"there is no {what}: it was deleted, has expired, or never was")
