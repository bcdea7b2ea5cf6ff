"""redact: takes what is secret out of an address, or out of a text that holds addresses."""

from __future__ import annotations

import re

HIDDEN = "***"

# With one slash too: what was taken for a path has lost the other. No scheme is longer, and with a limit a text of any
# length takes no more than its length.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,20}://?)(\S*)")
# Cameras take the password in the query (`?user=admin&password=x`), and some in the path (`/user=admin_password=x_`).
_NAME = re.compile(
    r"(?<![A-Za-z0-9])(?:user|username|user-id|usr|login|pass|passwd|password|pwd|pw|psw|token|auth|authorization|key|"
    r"apikey|secret|sig|signature|session|passphrase|streamid)$",
    re.IGNORECASE,
)
# And what says so somewhere in its name: loginpas, access_token, user_pwd, --rtsp-password.
_TELLING = re.compile(r"pass|pwd|token|secret|login|credential|api[_-]?key", re.IGNORECASE)
_PARAMETER, _VALUE = re.compile(r"(?<![\w-])[\w-]+="), re.compile(r"[^&;\s/]*")
_FLAG, _WORD = re.compile(r"(?<!\S)--?[\w-]+\s+"), re.compile(r"\S+")
# And without a scheme: user:password@host.
_BARE = re.compile(r"(?<![\w/@:.*-])[^\s/@:'\"=]{1,64}:[^\s/@'\"]{1,64}@(?=[\w\[])")
# What RTMP servers know a stream by is all that protects it: the last part of a path that has more than one.
_STREAM_KEY = re.compile(r"(rtmps?://[^/\s]+(?:/[^/\s?]+)+/)[^/\s?'\"]+", re.IGNORECASE)


def redact(text: str) -> str:
    """Returns `text` with `***` for the user name and password of every URL in it, and for what parameters give away.

    Those are `password=...` in a query, a path or a command, and `--password ...`. Rather too much is hidden than too
    little: a password with unescaped `@` or `/` in it is hidden whole.
    """
    text = _ADDRESS.sub(lambda match: match[1] + _redact_rest(match[2]), text)
    text = _BARE.sub(f"{HIDDEN}@", text)
    text = _STREAM_KEY.sub(rf"\g<1>{HIDDEN}", text)
    return _hide_after(_FLAG, _WORD, _hide_after(_PARAMETER, _VALUE, text))


def _redact_rest(rest: str) -> str:
    """`rest` is what follows `://`."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    end = authority.rfind("@")
    if end < 0 and not re.fullmatch(r"\[[^\]]*\]|[^:]*", authority):
        # What looks like a port may be a password with a `/` in it.
        end = rest.rfind("@")
    return HIDDEN + rest[end:] if end > 0 else rest


def _hide_after(names: re.Pattern[str], values: re.Pattern[str], text: str) -> str:
    """Hides the value behind every name that tells that it is a secret."""
    pieces, done = [], 0
    for match in names.finditer(text):
        name = match[0].rstrip().rstrip("=")
        if match.start() < done or not (_NAME.search(name) or _TELLING.search(name)):
            continue
        value = values.match(text, match.end())
        pieces += [text[done : match.end()], HIDDEN if value else ""]
        done = value.end() if value else match.end()
    return "".join([*pieces, text[done:]])
