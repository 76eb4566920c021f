"""What a server may answer that is no prediction: typed errors with the server's own words."""

from __future__ import annotations

from kseg.errors import ServingError, in_a_line

MOST_WORDS = 500  # of a server's text that a message repeats


class Unreachable(ServingError):
    """No server answers there, or the connection was lost."""


class TimedOut(ServingError):
    """The server did not answer in time."""


class Busy(ServingError):
    """The server has too much to do, or the model is still loading (HTTP 429, 503; RESOURCE_EXHAUSTED, UNAVAILABLE)."""


class NotServed(ServingError):
    """The server has no such model, version or label."""


class Refused(ServingError):
    """The server refuses the request: another signature, type or shape, or no permission."""


class Failed(ServingError):
    """The server failed while it computed."""


class BadAnswer(ServingError):
    """The answer is no answer of TensorFlow Serving, is incomplete, or is larger than the limit."""


# By the names of gRPC's codes, which stand for those of HTTP too.
KINDS: dict[str, type[ServingError]] = {
    "UNAVAILABLE": Busy,
    "RESOURCE_EXHAUSTED": Busy,
    "DEADLINE_EXCEEDED": TimedOut,
    "NOT_FOUND": NotServed,
    "INVALID_ARGUMENT": Refused,
    "FAILED_PRECONDITION": Refused,
    "OUT_OF_RANGE": Refused,
    "UNAUTHENTICATED": Refused,
    "PERMISSION_DENIED": Refused,
    "UNIMPLEMENTED": Refused,
}
OF_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
AGAIN = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")  # a request is sent again after these
_ADVICE: dict[type[ServingError], str] = {
    Busy: "Try again later, with fewer requests at once.",
    NotServed: "Is that name in the server's configuration, and has the model loaded? `status` tells.",
    TimedOut: "Give it more time (timeout), or a smaller image.",
}


def error_of(code: str, address: str, words: str) -> ServingError:
    """The error for a code, with what the server said."""
    kind = KINDS.get(code, Failed)
    said = in_a_line(words, MOST_WORDS) or "nothing more"
    advice = _ADVICE.get(kind)
    return kind(f"{address}: {code}. The server says: {said}", *([advice] if advice else []))
