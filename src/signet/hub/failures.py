"""What a network says when it fails: whether to try again, how long to wait, and what to tell the user."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from signet.errors import HubError, OfflineMiss
from signet.hub.weights import Patience

if TYPE_CHECKING:
    from httpx2 import Response

PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS_TO_CONNECT = 3
T = TypeVar("T")


def persistently(
    action: Callable[[], T], what: str, patience: Patience, received: Callable[[], int] = lambda: 0
) -> T:
    """Do `action` until it succeeds, fails for good, or patience is at its end.

    Args:
        action: one attempt.
        what: is fetched, for the message.
        patience: how often and how long.
        received: bytes that have come so far; every one gives patience back, up to `most_attempts`.

    Raises:
        HubError: it failed.
    """
    in_a_row = 0
    for attempt in range(1, patience.most_attempts + 1):
        before = received()
        try:
            return action()
        except _network_errors() as error:
            in_a_row = 1 if received() > before else in_a_row + 1
            # Where nobody answers at all, a long wait only hides that the machine is not connected.
            limit = patience.attempts if received() or not _no_connection(error) else _ATTEMPTS_TO_CONNECT
            wait = _wait_after(error, in_a_row, patience)
            if wait is None or in_a_row >= min(limit, patience.attempts) or attempt == patience.most_attempts:
                raise as_hub_error(error, what) from error
        time.sleep(wait)
    raise HubError(f"{what}: expected at least one attempt, got most_attempts={patience.most_attempts}.")


def as_hub_error(error: Exception, what: str) -> HubError:
    """The same failure in our words. Addresses are left out: a redirected one may carry a signature."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return OfflineMiss(f"{what} is not on this machine, and HF_HUB_OFFLINE is set. Unset it to download.")
    response = _response_of(error)
    if response is None:
        return HubError(f"{what} could not be downloaded: {_said(error)} {_advice(error)}")
    status = f"HTTP {response.status_code}"
    match response.status_code, response.headers.get("X-Error-Code"):
        case _, "GatedRepo":
            return HubError(
                f"{what} is gated ({status}): its publisher wants its terms accepted first. Accept them on "
                "its page, then log in with 'hf auth login' or set HF_TOKEN."
            )
        case _, "RevisionNotFound":
            return HubError(f"{what}: the repository has no such revision ({status}). Try 'main'.")
        case ((401 | 403), _):
            return HubError(
                f"{what} is refused ({status}): it does not exist, is private, or needs a log-in. Check the "
                "name; if it is right, log in with 'hf auth login' or set HF_TOKEN."
            )
        case ((404 | 410), _):
            return HubError(f"{what} does not exist there ({status}). Check the name.")
        case 429, _:
            return HubError(f"{what}: too many requests ({status}).{_later(response)}")
        case code, _ if code >= 500:
            return HubError(f"{what}: the server fails ({status}).{_later(response)}")
    return HubError(f"{what} could not be downloaded: unexpected answer {status}.")


def _network_errors() -> tuple[type[Exception], ...]:
    from httpx2 import HTTPError, InvalidURL
    from huggingface_hub.errors import OfflineModeIsEnabled

    return (HTTPError, InvalidURL, OfflineModeIsEnabled)


def _response_of(error: Exception) -> Response | None:
    return getattr(error, "response", None)  # what failed before an answer came has none


def _no_connection(error: Exception) -> bool:
    from httpx2 import ConnectError, ConnectTimeout

    return isinstance(error, (ConnectError, ConnectTimeout))


def _wait_after(error: Exception, in_a_row: int, patience: Patience) -> float | None:
    """Seconds until the next attempt, or None when another one would be in vain."""
    from httpx2 import ProxyError, TransportError, UnsupportedProtocol

    own = min(patience.first_wait * 2.0 ** (in_a_row - 1), patience.longest_wait)
    response = _response_of(error)
    if response is not None:
        asked = _asked_wait(response)
        if response.status_code not in PASSING_STATUS or (asked or 0.0) > patience.longest_wait:
            return None
        return max(own, asked or 0.0)
    passing = isinstance(error, TransportError) and not isinstance(error, (ProxyError, UnsupportedProtocol))
    return own if passing and "CERTIFICATE_VERIFY_FAILED" not in str(error) else None


def _asked_wait(response: Response) -> float | None:
    """Seconds that the server asks to wait. Source: RFC 9110, section 10.2.3 (seconds, or a date)."""
    stated = response.headers.get("Retry-After", "").strip()
    if stated.isascii() and stated.isdigit():
        return float(stated[:9])
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(stated)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _later(response: Response) -> str:
    asked = _asked_wait(response)
    return f" Try again in {asked:.0f} seconds." if asked else " Try again later."


def _said(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words[:200].rstrip(".") + "."


def _advice(error: Exception) -> str:
    from httpx2 import ProxyError, TimeoutException

    if isinstance(error, ProxyError):
        return "The proxy refused: check HTTPS_PROXY and NO_PROXY."
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "The server's certificate is not trusted: a proxy may stand in between (SSL_CERT_FILE names its)."
        )
    if isinstance(error, TimeoutException):
        return "The server kept silent for too long. Try again: what has come is kept."
    if _no_connection(error):
        return (
            "Check the connection, the proxy (HTTPS_PROXY) and HF_ENDPOINT, or use a mirror (SIGNET_MIRROR)."
        )
    return "Try again: what has come is kept."
