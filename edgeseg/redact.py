"""redact: takes what is secret out of an address, or out of a text that holds addresses."""

from __future__ import annotations

import re

HIDDEN = "***"

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(\S*)")
# Cameras take the password in the query (`?user=admin&password=x`), and some in the path (`/user=admin_password=x_`).
_SECRET = re.compile(
    r"((?<![A-Za-z0-9])(?:user|username|usr|login|pass|passwd|password|pwd|pw|psw|token|access_token|auth|key|api_?key|"
    r"secret|sig|signature|session)=)[^&;\s/]*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Returns `text` with `***` for the user name and password of every URL in it, and for secrets in its parameters.

    Rather too much is hidden than too little: a password with unescaped `@` or `/` in it is hidden whole.
    """
    return _ADDRESS.sub(lambda match: match[1] + _redact_rest(match[2]), text)


def _redact_rest(rest: str) -> str:
    """`rest` is what follows `://`."""
    authority = re.match(r"[^/?#]*", rest)[0]  # type: ignore[index]  # it matches the empty text too
    end = authority.rfind("@")
    if end < 0 and not re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d*)?", authority):
        # No host looks like this: a `/` in the password.
        end = rest.rfind("@")
    if end > 0:
        rest = HIDDEN + rest[end:]
    return _SECRET.sub(rf"\g<1>{HIDDEN}", rest)
