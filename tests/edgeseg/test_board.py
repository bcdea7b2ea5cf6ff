"""The board as its sysfs tells it, on a made-up root folder laid out as on the real boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.board import Board, BoardReading, board_name, read_zones


def put(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def put_zone(root: Path, number: int, kind: str, millidegrees: object) -> None:
    put(root, f"sys/class/thermal/thermal_zone{number}/type", f"{kind}\n")
    put(root, f"sys/class/thermal/thermal_zone{number}/temp", f"{millidegrees}\n")


def put_cooling(root: Path, number: int, kind: str, state: int) -> None:
    put(root, f"sys/class/thermal/cooling_device{number}/type", f"{kind}\n")
    put(root, f"sys/class/thermal/cooling_device{number}/cur_state", f"{state}\n")


def put_vcgencmd(root: Path, script: str) -> Path:
    program = put(root, "usr/bin/vcgencmd", f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_a_machine_that_tells_nothing_is_unknown_in_everything(tmp_path: Path) -> None:
    assert Board(tmp_path).read() == BoardReading()
    assert board_name(tmp_path) is None


def test_the_machine_this_runs_on_is_read_without_an_error() -> None:
    reading = Board().read()
    assert reading.temperature_c is None or -40 < reading.temperature_c < 130


def test_the_hottest_sensor_in_the_chip_counts(tmp_path: Path) -> None:
    # The zones of a Jetson: the power chip always says 100 °C, a part that is off -256, the fan's estimate is a mean.
    for number, (kind, temperature) in enumerate(
        [
            ("CPU-therm", 48500),
            ("GPU-therm", 51250),
            ("PMIC-Die", 100000),
            ("AO-therm", 60000),
            ("thermal-fan-est", 59000),
            ("CV0-therm", -256000),
            ("tj-thermal", 50000),
            ("gpu-off", -256000),
            ("soc0-thermal", ""),
        ]
    ):
        put_zone(tmp_path, number, kind, temperature)
    reading = Board(tmp_path).read()
    assert (reading.temperature_c, reading.zone) == (51.25, "GPU-therm")
    assert {name for _, name in read_zones(tmp_path)} == {"CPU-therm", "GPU-therm", "tj-thermal"}


@pytest.mark.parametrize("kind", ["cpu-thermal", "cpu_thermal", "soc-thermal", "x86_pkg_temp", "bigcore0-thermal"])
def test_it_knows_the_zones_of_the_usual_boards(tmp_path: Path, kind: str) -> None:
    put_zone(tmp_path, 0, kind, 61234)
    assert Board(tmp_path).read().temperature_c == 61.234


@pytest.mark.parametrize("kind", ["acpitz", "BAT0", "iwlwifi_1", "pch_cannonlake"])
def test_what_is_no_processor_gives_no_temperature(tmp_path: Path, kind: str) -> None:
    put_zone(tmp_path, 0, kind, 61234)
    assert Board(tmp_path).read().temperature_c is None


@pytest.mark.parametrize(
    "path",
    [
        "sys/devices/platform/soc/soc:firmware/get_throttled",
        "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled",
    ],
)
@pytest.mark.parametrize(
    ("flags", "throttled", "under_voltage", "throttled_before", "under_voltage_before"),
    [
        ("0", False, False, False, False),
        ("50005", True, True, True, True),
        ("50000", False, False, True, True),
        ("0x1", False, True, False, False),
        ("2", True, False, False, False),
        ("80008", True, False, False, False),
        ("20000", False, False, True, False),
    ],
)
def test_the_flags_of_a_raspberry_pi(
    tmp_path: Path,
    path: str,
    flags: str,
    throttled: bool,
    under_voltage: bool,
    throttled_before: bool,
    under_voltage_before: bool,
) -> None:
    put(tmp_path, path, f"{flags}\n")
    assert Board(tmp_path).read() == BoardReading(
        throttled=throttled,
        under_voltage=under_voltage,
        throttled_since_boot=throttled_before,
        under_voltage_since_boot=under_voltage_before,
    )


def test_vcgencmd_answers_where_the_kernel_does_not(tmp_path: Path) -> None:
    put_vcgencmd(tmp_path, 'test "$1" = get_throttled && echo throttled=0x50005')
    reading = Board(tmp_path).read()
    assert reading.throttled is True
    assert reading.under_voltage is True


@pytest.mark.parametrize("script", ["echo throttled=", "echo what", "exit 255", "kill -9 $$"])
def test_a_vcgencmd_that_does_not_answer_is_not_asked_again(tmp_path: Path, script: str) -> None:
    asked = tmp_path / "asked"
    put_vcgencmd(tmp_path, f"echo x >> {asked}\n{script}")
    board = Board(tmp_path)
    assert board.read().throttled is None
    assert board.read().throttled is None
    assert asked.read_text(encoding="ascii") == "x\n"


def test_the_kernels_watch_over_the_supply(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    alarm = put(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n")
    board = Board(tmp_path)
    assert board.read().under_voltage is False
    alarm.write_text("1\n", encoding="ascii")
    assert board.read().under_voltage is True


@pytest.mark.parametrize("kind", ["thermal-cpufreq-0", "cpufreq-cpu0", "cpu-throttle-alert"])
def test_the_kernel_holding_the_clock_down_counts_as_throttling(tmp_path: Path, kind: str) -> None:
    put_cooling(tmp_path, 0, "pwm-fan", 3)
    assert Board(tmp_path).read().throttled is None
    put_cooling(tmp_path, 1, kind, 0)
    assert Board(tmp_path).read().throttled is False
    put_cooling(tmp_path, 1, kind, 2)
    assert Board(tmp_path).read().throttled is True


def test_a_jetson_throttles_when_its_over_current_counters_grow(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/hwmon/hwmon3/oc1_event_cnt", "7\n")
    counter = put(tmp_path, "sys/class/hwmon/hwmon3/oc3_event_cnt", "2\n")
    board = Board(tmp_path)
    # What was counted before is no news.
    assert board.read().throttled is False
    counter.write_text("3\n", encoding="ascii")
    assert board.read().throttled is True
    assert board.read().throttled is False


def test_the_board_has_a_name(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/dmi/id/product_name", "NUC\n")
    assert board_name(tmp_path) == "NUC"
    put(tmp_path, "sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    assert board_name(tmp_path) == "Raspberry Pi 4 Model B Rev 1.4"
