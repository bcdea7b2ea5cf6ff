"""Password hashes: scrypt, its parameters in the text, so that a stronger setting later changes nothing for these."""

from __future__ import annotations

import base64
import binascii
import getpass
import hashlib
import hmac
import os
import re
import sys
from dataclasses import dataclass

from edgeseg.errors import UsageError

# N = 2^14, r = 8, p = 5: one of the settings of equal strength that OWASP's password storage cheat sheet gives, the one
# that takes least memory, 16 MiB.
LOG2_N, BLOCK, PARALLEL = 14, 8, 5
#: What a hash in a configuration may ask for: with more, one log-in could take the board's memory.
LARGEST_MEMORY = 64 * 2**20
LARGEST_PARALLEL = 16
SHORTEST = 8
#: More would only be work for the hash's first step; a form has room for it.
LONGEST = 1024

_FORM = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{22,86})\$([A-Za-z0-9+/]{43,86})")


@dataclass(frozen=True, slots=True, repr=False)
class PasswordHash:
    """A salted scrypt hash, written `$scrypt$ln=14,r=8,p=5$SALT$HASH` (the PHC string format)."""

    log2_n: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Reads a hash. Raises ValueError, whose message does not repeat what was written: it may be a password."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("is no password hash; make one with: edgeseg password")
        log2_n, block, parallel = (int(number) for number in match.groups()[:3])
        if not (log2_n and block and parallel) or 128 * block << log2_n > LARGEST_MEMORY or parallel > LARGEST_PARALLEL:
            raise ValueError("is a password hash that would take too long here; make one with: edgeseg password")
        try:
            salt, digest = (
                base64.b64decode(part + "=" * (-len(part) % 4), validate=True) for part in match.groups()[3:]
            )
        except binascii.Error as error:
            raise ValueError("is a damaged password hash; make one with: edgeseg password") from error
        return cls(log2_n, block, parallel, salt, digest)

    @classmethod
    def make(cls, password: str, log2_n: int = LOG2_N) -> PasswordHash:
        """Returns the hash of a password, with a salt of its own."""
        salt = os.urandom(16)
        return cls(log2_n, BLOCK, PARALLEL, salt, _scrypt(password, salt, log2_n, BLOCK, PARALLEL, 32))

    def matches(self, password: str) -> bool:
        """Whether it is this password's; takes a quarter of a second (x86), and the same for a wrong one."""
        made = _scrypt(password, self.salt, self.log2_n, self.block, self.parallel, len(self.digest))
        return hmac.compare_digest(made, self.digest)

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode().rstrip("=") for part in (self.salt, self.digest))
        return f"$scrypt$ln={self.log2_n},r={self.block},p={self.parallel}${salt}${digest}"

    def __repr__(self) -> str:
        return "PasswordHash(...)"


def _scrypt(password: str, salt: bytes, log2_n: int, block: int, parallel: int, length: int) -> bytes:
    # OpenSSL counts a little more than the 128 * N * r bytes that the algorithm names.
    return hashlib.scrypt(
        password.encode(), salt=salt, n=1 << log2_n, r=block, p=parallel, maxmem=2 * LARGEST_MEMORY, dklen=length
    )


def ask_password() -> str:
    """Asks for a new password twice at a terminal, else takes the first line of stdin. Raises UsageError."""
    if sys.stdin is not None and sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise UsageError("the two passwords differ; nothing was made")
    else:
        password = sys.stdin.readline().rstrip("\r\n") if sys.stdin is not None else ""
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(f"a password must have {SHORTEST} to {LONGEST} characters")
    return password
