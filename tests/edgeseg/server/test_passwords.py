"""Password hashes: what is made is recognised, what is none is refused without being repeated."""

from __future__ import annotations

import io

import pytest

from edgeseg.errors import UsageError
from edgeseg.server.passwords import LARGEST_MEMORY, LONGEST, PasswordHash, ask_password
from tests.edgeseg.program import assert_one_error, run_edgeseg

#: log2 of N: a hash that takes no time.
QUICK = 4


def test_the_right_password_and_only_that_one() -> None:
    made = PasswordHash.make("correct horse", QUICK)
    read = PasswordHash.parse(str(made))
    assert read == made
    assert read.matches("correct horse")
    assert not read.matches("correct horsE")
    assert PasswordHash.make("correct horse", QUICK) != made, "each has a salt of its own"


def test_it_is_scrypt_as_the_rfc_has_it() -> None:
    # RFC 7914, section 12, the third vector: N=16384, r=8, p=1.
    digest = bytes.fromhex(
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    )
    assert PasswordHash(14, 8, 1, b"SodiumChloride", digest).matches("pleaseletmein")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hunter22", "no password hash"),
        ("", "no password hash"),
        ("$argon2id$v=19$m=65536,t=3,p=4$abc$def", "no password hash"),
        ("$scrypt$ln=4,r=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$", "no password hash"),
        ("$scrypt$ln=14,r=8,p=5$short$" + "A" * 43, "no password hash"),
        ("$scrypt$ln=0,r=8,p=1$" + "A" * 22 + "$" + "A" * 43, "too long"),
        ("$scrypt$ln=20,r=8,p=1$" + "A" * 22 + "$" + "A" * 43, "too long"),
        ("$scrypt$ln=14,r=8,p=99$" + "A" * 22 + "$" + "A" * 43, "too long"),
        ("$scrypt$ln=14,r=8,p=1$" + "A" * 25 + "$" + "A" * 43, "damaged"),
    ],
)
def test_what_is_no_hash(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        PasswordHash.parse(text)
    assert "edgeseg password" in str(caught.value)
    assert text == "" or text not in str(caught.value)


def test_the_costliest_hash_that_is_taken_can_be_computed() -> None:
    log2_n = (LARGEST_MEMORY // (128 * 8)).bit_length() - 1
    assert not PasswordHash(log2_n, 8, 1, bytes(16), bytes(32)).matches("x")


def test_nothing_of_it_shows_where_objects_are_printed() -> None:
    assert repr(PasswordHash.make("correct horse", QUICK)) == "PasswordHash(...)"


def test_a_password_is_read_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\nmore\n"))
    assert ask_password() == "correct horse"


@pytest.mark.parametrize("text", ["", "\n", "7 signs\n", "x" * (LONGEST + 1)])
def test_a_password_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(UsageError, match="8 to 1024 characters"):
        ask_password()


def test_the_command_prints_what_a_configuration_takes() -> None:
    made = run_edgeseg("password", input="correct horse\n")
    assert (made.returncode, made.stderr) == (0, "")
    read = PasswordHash.parse(made.stdout.strip())
    assert (read.log2_n, read.block, read.parallel) == (14, 8, 5)
    assert read.matches("correct horse")
    assert_one_error(run_edgeseg("password", input="short\n"), 2, "8 to 1024 characters")
