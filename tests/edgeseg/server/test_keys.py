"""Keys: the token's file and variable, and when there must be one."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from edgeseg.errors import ConfigError, UsageError
from edgeseg.server.access_config import Access
from edgeseg.server.address import Address
from edgeseg.server.keys import Keys
from edgeseg.server.passwords import PasswordHash

#: log2 of N: a hash that takes no time.
QUICK = 4
TOKEN = "not-to-be-guessed-by-anybody"
HERE, EVERYWHERE = Address(), Address("0.0.0.0", 8080)


def write_token(path: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_token_of_a_file_and_the_one_of_the_environment_before_it(tmp_path: Path) -> None:
    access = Access(token_file=write_token(tmp_path / "token", TOKEN + "\n"))
    keys = Keys.load(access, HERE)
    assert keys.match_token(TOKEN)
    assert not keys.match_token(TOKEN + "x")
    keys = Keys.load(access, HERE, "the-environment's-token")
    assert keys.match_token("the-environment's-token")
    assert not keys.match_token(TOKEN)


@pytest.mark.parametrize("text", ["", "short", "x" * 513, "ünguessable-for-everybody", "two lines\nof a token file"])
def test_a_token_that_is_none_is_not_repeated(tmp_path: Path, text: str) -> None:
    path = write_token(tmp_path / "token", text)
    with pytest.raises(ConfigError, match=f"{path}: the token must be 16 to 512 printable ASCII") as caught:
        Keys.load(Access(token_file=path), HERE)
    assert "\n" not in str(caught.value)
    assert not text or text not in str(caught.value)
    with pytest.raises(ConfigError, match="EDGESEG_TOKEN: the token must be"):
        Keys.load(Access(), HERE, text)


def test_a_token_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: the token cannot be read: no such file"):
        Keys.load(Access(token_file=tmp_path / "nowhere"), HERE)
    with pytest.raises(ConfigError, match="the token cannot be read: is a directory"):
        Keys.load(Access(token_file=tmp_path), HERE)


def test_a_token_that_everybody_can_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_token(tmp_path / "token", mode=0o644)
    with caplog.at_level(logging.WARNING):
        Keys.load(Access(token_file=path), HERE)
    assert f"{path}: every user of this machine can read the token" in caplog.text
    assert TOKEN not in caplog.text


def test_an_open_page_is_for_this_machine_only() -> None:
    assert not Keys.load(Access(), HERE).required
    with pytest.raises(UsageError, match=r"http://0\.0\.0\.0:8080: everybody in the network .* without a log-in") as it:
        Keys.load(Access(), EVERYWHERE)
    assert "\n" not in str(it.value)
    assert Keys.load(Access(), EVERYWHERE, TOKEN).required
    users = {"viewer": str(PasswordHash.make("correct horse", QUICK))}
    assert Keys.load(Access(users=users), EVERYWHERE).required


def test_users_and_strangers() -> None:
    keys = Keys.load(Access(users={"viewer": str(PasswordHash.make("correct horse", QUICK))}), HERE)
    assert keys.match_user("viewer", "correct horse")
    assert not keys.match_user("viewer", "wrong horse")
    assert not keys.match_user("stranger", "correct horse")
    # Without a token no text is one, also not the empty one.
    assert not keys.match_token("")


def test_nothing_of_them_shows_where_objects_are_printed() -> None:
    users = {"viewer": str(PasswordHash.make("correct horse", QUICK))}
    access = Access(users=users)
    shown = f"{access!r} {access} {Keys.load(access, HERE, TOKEN)!r} {access.model_dump_json()}"
    assert "scrypt" not in shown
    assert TOKEN not in shown
    assert os.environ.get("EDGESEG_TOKEN") is None
