"""Access: what the configuration may say, and that an error there tells no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.config_file import load_config
from edgeseg.errors import ConfigError
from edgeseg.server.passwords import PasswordHash

HASH = str(PasswordHash(4, 1, 1, bytes(16), bytes(32)))


def write(folder: Path, text: str) -> Path:
    path = folder / "edgeseg.yaml"
    path.write_text(text)
    return path


def test_everything_it_can_say(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            f"""
source: 0
http:
  address: 0.0.0.0:8443
  token_file: token
  users: {{viewer: "{HASH}"}}
  hosts: [camera.example.org, '2001:db8::7']
  certificate: cert.pem
  key: key.pem
  connections: 64
""",
        )
    )
    assert config.http.address is not None
    assert config.http.address.host == "0.0.0.0"
    assert config.http.users["viewer"].get_secret_value() == HASH
    assert (config.http.hosts, config.http.connections) == (("camera.example.org", "2001:db8::7"), 64)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("users: {viewer: hunter22hunter22}", ["http.users.viewer", "is no password hash"]),
        ("users: {viewer: [hunter22hunter22]}", ["http.users.viewer"]),
        ("users: hunter22hunter22", ["http.users"]),
        ("users: {hunter22 hunter22: x}", ["http.users", "no name"]),
        ("key: key.pem", ["http", "no certificate"]),
        ("token: hunter22hunter22", ["http.token", "token_file"]),
        ("hosts: ['http://x/']", ["http.hosts", "http://x/"]),
        ("hosts: ['camera.example.org:8443']", ["http.hosts.0", "camera.example.org:8443", "without http:// and port"]),
        ("connections: 2", ["http.connections", "8"]),
    ],
)
def test_what_is_wrong_is_told_and_no_secret(tmp_path: Path, text: str, names: list[str]) -> None:
    path = write(tmp_path, f"source: 0\nhttp:\n  {text}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    for name in names:
        assert name in message
    assert "hunter22hunter22" not in message
