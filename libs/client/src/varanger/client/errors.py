"""What can go wrong, by what the caller can do about it."""

import httpx


class VarangerClientError(Exception):
    """Base of all of these."""


class GatewayAway(VarangerClientError):
    """No answer, "busy" (5xx, 429) to the last try too, or an answer that is no gateway's.

    Later may do; files that were sent answer `duplicate` then. `retry_after_s` is how long the gateway asked to be
    left alone, 0 where it did not.
    """

    def __init__(self, what: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class RequestRefused(VarangerClientError):
    """The gateway said no (RFC 9457): `status`, `title`, and in `detail` the field and the fix."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{status} {title}: {detail}" if detail else f"{status} {title}")
        self.status = status
        self.title = title
        self.detail = detail

    @classmethod
    def of(cls, response: httpx.Response) -> "RequestRefused":
        """Read the problem details."""
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        if not isinstance(problem, dict):
            problem = {}
        title = str(problem.get("title") or response.reason_phrase)
        return cls(response.status_code, title, str(problem.get("detail") or ""))


class UploadCorrupted(VarangerClientError):
    """The gateway stored other bytes than were sent, by their sha256. Keep the file and send it again."""


class FileChanged(VarangerClientError):
    """The file is not what it was when it was measured; look at it again."""
