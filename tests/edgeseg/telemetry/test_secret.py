"""take_secret: out of a file or the environment, and out of sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import ConfigError
from edgeseg.telemetry.secret import take_secret


def test_a_file_goes_before_the_variable_which_nobody_else_sees(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("correct horse\n", encoding="utf-8")
    environment = {"TOKEN": "battery"}
    assert take_secret("mqtt.password_file", file, "TOKEN", environment) == "correct horse"
    assert environment == {}
    assert take_secret("x", None, "TOKEN", {"TOKEN": "battery"}) == "battery"
    assert take_secret("x", None, "TOKEN", {}) is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "cannot be read: no such file"), (b"", "is empty"), (b"\xff\xfe", "is not text in UTF-8")],
)
def test_what_is_wrong_with_the_file_is_told_without_its_content(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"mqtt.password_file .*secret: {complaint}"):
        take_secret("mqtt.password_file", file, "TOKEN", {})
