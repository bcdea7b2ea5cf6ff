"""The installer into a folder, as for the image of an SD card: what lies where, and what a second time changes."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.config_file import check_config
from tests.conftest import ROOT
from tests.systemd.conftest import offline_environment
from tests.systemd.test_units import tool

pytestmark = [pytest.mark.server, pytest.mark.slow]


class Image:
    """A folder that stands in for / of a board, and an installer whose files a test may change."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.root = folder / "image"
        self.systemd = folder / "checkout" / "systemd"
        self.wheel = wheel
        shutil.copytree(ROOT / "systemd", self.systemd)
        shutil.copytree(ROOT / "examples", folder / "checkout" / "examples", ignore=shutil.ignore_patterns("drive"))

    def copy(self, root: Path) -> Image:
        """Another image with the same in it."""
        other = copy.copy(self)
        other.root = root
        shutil.copytree(self.root, root, symlinks=True)
        return other

    def install(self, *options: object) -> subprocess.CompletedProcess[str]:
        """Runs the installer to its end."""
        return subprocess.run(
            [self.systemd / "install.sh", *map(str, options)],
            capture_output=True,
            text=True,
            check=False,
            env=offline_environment(DESTDIR=str(self.root)),
        )

    def again(self) -> str:
        """Installs the wheel and returns what that said."""
        done = self.install("--wheel", self.wheel, "--python", sys.executable)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files(self) -> dict[str, tuple[int, int | str]]:
        """Everything in the image but what is inside the environment: mode, and size or where a link leads."""
        found: dict[str, tuple[int, int | str]] = {}
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith("venv.")]
            for name in (*folders, *names):
                path = Path(folder, name)
                status = path.lstat()
                content = str(path.readlink()) if path.is_symlink() else 0 if path.is_dir() else status.st_size
                found[str(path.relative_to(self.root))] = (status.st_mode & 0o7777, content)
        return found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Image:
    """An image with edgeseg installed; each test leaves it so."""
    tool("systemctl")
    image = Image(tmp_path_factory.mktemp("image"), wheel)
    image.again()
    return image


def test_everything_is_where_systemd_and_people_look_for_it(image: Image) -> None:
    files = image.files()
    for path, mode in {
        "etc/edgeseg/edgeseg.yaml": 0o640,
        "opt/edgeseg/share/edgeseg.example.yaml": 0o644,
        "usr/local/bin/edgeseg": 0o755,
        "usr/local/lib/systemd/system/edgeseg.service": 0o644,
        "usr/local/lib/systemd/system/edgeseg@.service": 0o644,
        "usr/local/lib/sysusers.d/edgeseg.conf": 0o644,
        "usr/local/lib/tmpfiles.d/edgeseg.conf": 0o644,
        "usr/local/lib/udev/rules.d/70-edgeseg.rules": 0o644,
    }.items():
        assert files[path][0] == mode, path
    wanted = "etc/systemd/system/multi-user.target.wants/edgeseg.service"
    assert files[wanted][1] == "/usr/local/lib/systemd/system/edgeseg.service"
    assert check_config(image.root / "etc/edgeseg/edgeseg.yaml") == []
    assert not any("jetson" in path for path in files)


def test_the_environment_holds_the_wheel_and_can_be_moved(image: Image) -> None:
    link = image.root / "opt/edgeseg/venv"
    # Relative, so that it leads to the same place once the image is a board's /.
    assert not link.readlink().is_absolute()
    assert (link / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages/edgeseg").is_dir()


def test_a_second_time_changes_nothing(image: Image) -> None:
    # The check whether the environment still works needs the packages that pip did not fetch here.
    site = next((image.root / "opt/edgeseg/venv/lib").glob("python3*/site-packages"))
    (site / "tests.pth").write_text("\n".join(path for path in sys.path if "site-packages" in path), encoding="utf-8")
    before = image.files()
    assert "already" in image.again()
    assert image.files() == before


def test_a_changed_configuration_stays_and_a_new_default_is_put_beside_it(image: Image) -> None:
    config, beside = (image.root / "etc/edgeseg" / name for name in ("edgeseg.yaml", "edgeseg.yaml.new"))
    default = image.systemd / "edgeseg.yaml"
    first = default.read_text(encoding="utf-8")
    # Not changed by anybody: the new default takes its place.
    default.write_text(first + "# second\n", encoding="utf-8")
    image.again()
    assert config.read_text(encoding="utf-8") == first + "# second\n"
    assert not beside.exists()
    # Changed: it stays, and there is nothing new to put beside it.
    config.write_text("source: 1\n", encoding="utf-8")
    image.again()
    assert config.read_text(encoding="utf-8") == "source: 1\n"
    assert not beside.exists()
    # There is now.
    default.write_text(first + "# third\n", encoding="utf-8")
    assert str(beside) in image.again()
    assert config.read_text(encoding="utf-8") == "source: 1\n"
    assert beside.read_text(encoding="utf-8") == first + "# third\n"
    # Taken over by hand.
    beside.rename(config)
    image.again()
    assert config.read_text(encoding="utf-8") == first + "# third\n"
    assert not beside.exists()
    default.write_text(first, encoding="utf-8")
    image.again()
    assert config.read_text(encoding="utf-8") == first


def test_on_a_jetson_the_units_get_what_it_needs(image: Image) -> None:
    mark = image.root / "etc/nv_tegra_release"
    mark.write_text("# R36\n", encoding="ascii")
    image.again()
    mark.unlink()
    for unit in ("edgeseg.service", "edgeseg@.service"):
        drop_in = image.root / f"usr/local/lib/systemd/system/{unit}.d"
        assert (drop_in / "jetson.conf").is_file()
        shutil.rmtree(drop_in)


def test_a_wheel_that_cannot_be_installed_changes_nothing(image: Image, tmp_path: Path) -> None:
    broken = tmp_path / "edgeseg-9.9-py3-none-any.whl"
    broken.write_bytes(b"no wheel")
    before = image.files()
    done = image.install("--wheel", broken, "--python", sys.executable)
    assert done.returncode == 69
    assert "what was there before is as it was" in done.stderr
    assert image.files() == before
    assert len(list((image.root / "opt/edgeseg").glob("venv.*"))) == 1


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--wheel", "/nowhere/edgeseg.whl", "--python", sys.executable], 66, "/nowhere/edgeseg.whl: no such file"),
        (["--python", sys.executable], 2, "lies in no checkout"),
        (["--wheel"], 2, "--wheel needs a value"),
        (["--colour"], 2, "--colour: unknown"),
        (["--python", "/bin/false"], 69, "needs Python 3.10 or newer as '/bin/false'"),
    ],
)
def test_a_mistake_is_one_line(image: Image, options: list[str], code: int, words: str) -> None:
    done = image.install(*options)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith("install.sh: error: ")
    assert words in line


def test_removal_leaves_configuration_and_recordings_and_purging_does_not(image: Image, tmp_path: Path) -> None:
    image = image.copy(tmp_path / "image")
    recording = image.root / "var/lib/edgeseg/recordings/drive.mp4"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"pictures")
    assert image.install("--remove").returncode == 0
    assert {path for path, (_, content) in image.files().items() if content} == {
        "etc/edgeseg/edgeseg.yaml",
        "var/lib/edgeseg/recordings/drive.mp4",
    }
    # There is nothing left to remove, and that is no error.
    assert image.install("--remove").returncode == 0
    assert image.install("--purge").returncode == 0
    assert not any(content for _, content in image.files().values())
    assert not (image.root / "etc/edgeseg").exists()
