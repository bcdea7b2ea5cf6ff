"""redact: takes what is secret out of an address, or out of a text that holds addresses."""

from __future__ import annotations

import re

HIDDEN = "***"

# With one slash too: what was taken for a path has lost the other.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://?)(\S*)")
# Cameras take the password in the query (`?user=admin&password=x`), and some in the path (`/user=admin_password=x_`).
_NAMES = (
    "user|username|user-id|usr|login|pass|passwd|password|pwd|pw|psw|token|auth|authorization|key|apikey|secret|sig|"
    "signature|session|passphrase|streamid"
)
_PARAMETER = re.compile(rf"((?<![A-Za-z0-9])(?:{_NAMES})=)[^&;\s/]*", re.IGNORECASE)
# What RTMP servers know a stream by is all that protects it: the last part of a path that has more than one.
_STREAM_KEY = re.compile(r"(rtmps?://[^/\s]+(?:/[^/\s?]+)+/)[^/\s?'\"]+", re.IGNORECASE)
_FLAG = re.compile(rf"((?<!\S)--?(?:{_NAMES})\s+)\S+", re.IGNORECASE)


def redact(text: str) -> str:
    """Returns `text` with `***` for the user name and password of every URL in it, and for what parameters give away.

    Those are `password=...` in a query, a path or a command, and `--password ...`. Rather too much is hidden than too
    little: a password with unescaped `@` or `/` in it is hidden whole.
    """
    text = _ADDRESS.sub(lambda match: match[1] + _redact_rest(match[2]), text)
    text = _STREAM_KEY.sub(rf"\g<1>{HIDDEN}", text)
    return _FLAG.sub(rf"\g<1>{HIDDEN}", _PARAMETER.sub(rf"\g<1>{HIDDEN}", text))


def _redact_rest(rest: str) -> str:
    """`rest` is what follows `://`."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    end = authority.rfind("@")
    if end < 0 and not re.fullmatch(r"\[[^\]]*\]|[^:]*", authority):
        # What looks like a port may be a password with a `/` in it.
        end = rest.rfind("@")
    return HIDDEN + rest[end:] if end > 0 else rest
