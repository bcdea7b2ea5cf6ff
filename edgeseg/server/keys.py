"""Keys: what opens the page, read and ready to be compared."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.errors import ConfigError, UsageError, explain
from edgeseg.server.access_config import Access
from edgeseg.server.address import Address
from edgeseg.server.passwords import PasswordHash

logger = logging.getLogger(__name__)

#: What somebody got in by: a user's hash, or the token's digest.
Key = PasswordHash | bytes

TOKEN_VARIABLE = "EDGESEG_TOKEN"
#: 16 characters of base64 are 96 bits: nobody guesses them.
SHORTEST_TOKEN = 16
LONGEST_TOKEN = 512

#: Takes the place of a user that does not exist, so that the time of an answer does not tell who does.
_NOBODY = PasswordHash(14, 8, 5, bytes(16), bytes(32))


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The token's digest and the users' password hashes; none of them means that the page is open."""

    token: bytes | None = None
    users: Mapping[str, PasswordHash] = field(default_factory=dict)

    @classmethod
    def load(cls, access: Access, address: Address, token: str | None = None) -> Keys:
        """Reads the token's file; `token` is the environment's, which goes before it.

        Raises ConfigError for what is wrong with the token, UsageError where others could reach a page without a key.
        """
        digest = None
        if token is not None:
            digest = _digest_token(token, TOKEN_VARIABLE)
        elif access.token_file is not None:
            digest = _digest_token(_read_token(access.token_file), str(access.token_file))
        users = {name: PasswordHash.parse(text.get_secret_value()) for name, text in access.users.items()}
        keys = cls(digest, users)
        if not address.loopback and not keys.required:
            raise UsageError(
                f"{address.url}: everybody in the network could watch without a log-in; set {TOKEN_VARIABLE}, or give "
                f"http: token_file or users in --config, or serve 127.0.0.1"
            )
        return keys

    @property
    def required(self) -> bool:
        """Whether one of them is needed to open the page."""
        return self.token is not None or bool(self.users)

    def match_token(self, text: str) -> bytes | None:
        """Returns the token's digest when `text` is the token; in constant time."""
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        return digest if self.token is not None and hmac.compare_digest(digest, self.token) else None

    def match_user(self, name: str, password: str) -> PasswordHash | None:
        """Returns the hash of that user when the password is theirs; takes the time of one hash in any case."""
        known = self.users.get(name)
        return known if (known or _NOBODY).matches(password) else None


def _digest_token(token: str, where: str) -> bytes:
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError(
            f"{where}: the token must be {SHORTEST_TOKEN} to {LONGEST_TOKEN} printable ASCII characters; "
            "make one with: openssl rand -base64 24"
        )
    return hashlib.sha256(token.encode()).digest()


def _read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_TOKEN + 2)
            open_to_all = path.stat().st_mode & 0o004
    except OSError as error:
        raise ConfigError(f"{path}: the token cannot be read: {explain(error)}") from error
    if open_to_all:
        logger.warning("%s: every user of this machine can read the token; chmod 600 it", path)
    # Not ASCII is refused with what else is no token.
    return content.decode("utf-8", "replace").strip()
