"""Access: who may open the live page, by which names it is reached, and how it is encrypted."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, model_validator

from edgeseg.fields import Part
from edgeseg.server.passwords import PasswordHash


def _check_hash(text: SecretStr) -> SecretStr:
    PasswordHash.parse(text.get_secret_value())
    return text


def _check_host(text: str) -> str:
    # A port would never match: the one that a browser names is left out of account.
    if re.fullmatch(r"[A-Za-z0-9._-]+", text) is None:
        try:
            ipaddress.IPv6Address(text)
        except ValueError as error:
            raise ValueError("is no name; write it without http:// and port, such as camera.example.org") from error
    return text


UserName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
HostName = Annotated[str, Field(max_length=253), AfterValidator(_check_host)]
Hash = Annotated[SecretStr, AfterValidator(_check_hash)]


class Access(Part):
    """Without a token or users everybody on the machine may watch, and nobody else.

    token_file: a file with one line, what programs send as `Authorization: Bearer`. users: name to hash, made with
    `edgeseg password`. hosts: further names that the page is reached by. certificate, key: PEM files; with them the
    page is served over TLS. connections: how many there may be at a time.
    """

    token_file: Path | None = None
    users: Mapping[UserName, Hash] = {}
    hosts: tuple[HostName, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    connections: Annotated[int, Field(ge=8, le=10_000)] = 256

    @model_validator(mode="after")
    def _pair_key_with_certificate(self) -> Access:
        if self.key is not None and self.certificate is None:
            raise ValueError("has a key and no certificate; give both, or the certificate alone if it holds its key")
        return self
