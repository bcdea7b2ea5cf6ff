"""TLS: a server's context from certificate files, with what is wrong with them in one line."""

from __future__ import annotations

import logging
import ssl
import time
from pathlib import Path

from edgeseg.errors import ConfigError, explain

logger = logging.getLogger(__name__)

#: Of OpenSSL's x509_vfy.h.
_EXPIRED, _NOT_YET_VALID = 10, 9
WARN_DAYS = 14


def open_tls(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """Returns a context for TLS 1.2 and newer. Raises ConfigError when no browser would accept what the files hold."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, certificate, key)
    return context


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None = None) -> None:
    """Lets new connections of `context` use these files. Raises ConfigError, and changes nothing then."""
    # Tried out on another context first, for one that takes half of a pair cannot go back.
    fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(fresh, certificate, key)
    _check_validity(fresh, certificate)
    _load(context, certificate, key)


def _load(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    asked: list[bool] = []

    def tell_no_passphrase() -> str:
        asked.append(True)
        return ""

    for path in (certificate, key or certificate):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {explain(error)}") from error
    try:
        context.load_cert_chain(certificate, key, tell_no_passphrase)
    except (OSError, ValueError) as error:
        if asked:
            raise ConfigError(f"{key or certificate}: the key has a passphrase; write it without one") from error
        reason = str(getattr(error, "reason", None) or "")
        if "MISMATCH" in reason:
            raise ConfigError(f"{key}: is not the key of the certificate {certificate}") from error
        if "TOO_SMALL" in reason or "TOO_WEAK" in reason:
            raise ConfigError(f"{certificate}: is too weak; make one with RSA 2048, EC P-256 or stronger") from error
        raise ConfigError(
            f"{certificate}{f' and {key}' if key else ''}: hold no certificate with its key; both must be PEM files"
        ) from error


def _check_validity(server: ssl.SSLContext, certificate: Path) -> None:
    """Shakes hands with itself in memory, as a browser would that trusts this very certificate."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours, theirs = server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up)
    try:
        for _ in range(10):
            for side in (theirs, ours):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            raise ConfigError(f"{certificate}: the certificate has expired; renew it") from error
        if error.verify_code == _NOT_YET_VALID:
            raise ConfigError(f"{certificate}: the certificate is not valid yet; check the clock") from error
        raise ConfigError(f"{certificate}: cannot be a server's certificate: {error.verify_message}") from error
    found = theirs.getpeercert() or {}
    ends_s = ssl.cert_time_to_seconds(str(found["notAfter"]))
    days = int((ends_s - time.time()) / 86400)
    if days < WARN_DAYS:
        logger.warning("%s: the certificate ends in %d days; renew it", certificate, days)
