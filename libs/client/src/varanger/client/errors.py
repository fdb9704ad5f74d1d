"""What can go wrong, by what the caller can do about it."""

import httpx


class VarangerClientError(Exception):
    """Base of all of these."""


class GatewayAway(VarangerClientError):
    """No answer, or 5xx or 429 to the last try. Later may do; files that were sent answer `duplicate` then."""


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
