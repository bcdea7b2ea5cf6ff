from __future__ import annotations

import os
import subprocess
import sys

import pytest

from convert.silence import silence


def test_discards_python_and_c_output_and_restores_both(capfd: pytest.CaptureFixture[str]) -> None:
    with silence():
        print("from python")
        print("from python", file=sys.stderr)
        os.write(1, b"from c\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    print("after")
    os.write(2, b"after\n")
    out, err = capfd.readouterr()
    assert out == "after\n"
    assert err == "after\n"


def test_restores_the_streams_when_the_work_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def fail_noisily() -> None:
        with silence():
            os.write(1, b"noise\n")
            raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        fail_noisily()
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"
