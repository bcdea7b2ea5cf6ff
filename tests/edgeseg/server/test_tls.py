"""TLS with certificates that the openssl program makes: what is served, and what is wrong with what is not."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.errors import ConfigError
from edgeseg.server.access_config import Access
from edgeseg.server.tls import open_tls
from tests.edgeseg.server.live import Site, Viewer, wait_until

TOKEN = "not-to-be-guessed-by-anybody"

Make = Callable[..., tuple[Path, Path]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """make(name, *openssl options): a certificate for localhost and its key, each made once."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")

    def make_(name: str = "good", *options: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
        if not certificate.exists():
            kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            if any(option.startswith("rsa") for option in options):
                kind, options = ["-newkey", options[0]], options[1:]
            common = ["-x509", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
            if "-passout" not in options:
                common.append("-noenc")
            if "-days" not in options:
                common += ["-days", "60"]
            subprocess.run(
                [openssl, "req", *common, *kind, "-keyout", key, "-out", certificate, *options],
                check=True,
                capture_output=True,
            )
        return certificate, key

    return make_


def trust(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def test_the_page_over_tls(make: Make) -> None:
    certificate, key = make()
    client = trust(certificate)
    with Site(access=Access(certificate=certificate, key=key), token=TOKEN) as site:
        assert site.page.url == f"https://127.0.0.1:{site.port}"
        site.publish()
        form = {"Origin": site.page.url, "Content-Type": "application/x-www-form-urlencoded"}
        answer = site.ask("POST", "/login", form, f"password={TOKEN}", client)
        assert answer.status == 303
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith(f"__Host-edgeseg-{site.port}=")
        assert "Secure" in cookie
        assert answer.headers["Strict-Transport-Security"] == "max-age=86400"
        answer = site.ask("GET", "/api/state", {"Cookie": cookie.partition(";")[0]}, tls=client)
        assert answer.json["cameras"][0]["frames"]["in"] == 1
        with Viewer(site.port, headers={"Authorization": f"Bearer {TOKEN}"}, tls=client) as viewer:
            pictures = viewer.pictures()
            for _ in range(3):
                assert next(pictures).shape == (180, 320, 3)
                site.publish()


def test_a_slow_viewer_over_tls_gets_few_old_pictures(make: Make) -> None:
    certificate, key = make()
    client = trust(certificate)
    with (
        Site(access=Access(certificate=certificate, key=key)) as site,
        Viewer(site.port, buffer=4096, tls=client) as slow,
        Viewer(site.port, tls=client) as quick,
    ):
        pictures = quick.pictures()
        for _ in range(40):
            site.publish(width=1280, height=720)
            assert next(pictures).shape == (720, 1280, 3)
        site.publish(width=64, height=36)
        old = 0
        for picture in slow.pictures():
            if picture.shape == (36, 64, 3):
                break
            old += 1
        assert 1 <= old < 12


def test_only_tls_1_2_and_newer_and_nothing_in_the_clear(make: Make) -> None:
    certificate, key = make()
    with Site(access=Access(certificate=certificate, key=key)) as site:
        with socket.create_connection(("127.0.0.1", site.port), 10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP")
        with (
            socket.create_connection(("127.0.0.1", site.port), 10) as raw,
            trust(certificate).wrap_socket(raw, server_hostname="localhost") as wrapped,
        ):
            assert wrapped.version() in ("TLSv1.2", "TLSv1.3")


def test_a_handshake_that_does_not_come_to_its_end_is_not_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.server.connections.HANDSHAKE_S", 0.5)
    certificate, key = make()
    with (
        Site(access=Access(certificate=certificate, key=key, connections=8)) as site,
        socket.create_connection(("127.0.0.1", site.port), 10) as silent,
    ):
        assert silent.recv(100) == b""
        # Its place is free again.
        for _ in range(12):
            assert site.ask("GET", "/healthz", tls=trust(certificate)).status == 200


def test_too_many_are_refused_before_a_handshake(make: Make) -> None:
    certificate, key = make()
    with Site(access=Access(certificate=certificate, key=key, connections=8)) as site:
        held = [socket.create_connection(("127.0.0.1", site.port), 10) for _ in range(8)]
        try:
            time.sleep(0.3)
            with (
                contextlib.suppress(ConnectionError),
                socket.create_connection(("127.0.0.1", site.port), 10) as one_more,
            ):
                assert one_more.recv(100) == b""
        finally:
            for client in held:
                client.close()
        wait_until(lambda: _answers(site, certificate))


def _answers(site: Site, certificate: Path) -> bool:
    try:
        return site.ask("GET", "/healthz", tls=trust(certificate)).status == 200
    except OSError:
        return False


def test_another_certificate_while_it_runs(make: Make) -> None:
    certificate, key = make()
    other, other_key = make("other")
    with Site(access=Access(certificate=certificate, key=key)) as site:
        site.publish()
        with Viewer(site.port, tls=trust(certificate)) as viewer:
            pictures = viewer.pictures()
            next(pictures)
            site.page.use_access(Access(certificate=other, key=other_key))
            assert site.ask("GET", "/healthz", tls=trust(other)).status == 200
            with pytest.raises(ConfigError, match="is not the key of the certificate"):
                site.page.use_access(Access(certificate=certificate, key=other_key))
            assert site.ask("GET", "/healthz", tls=trust(other)).status == 200
            site.publish()
            assert next(pictures).shape == (180, 320, 3), "whoever watches stays connected"


def test_a_certificate_and_its_key_in_one_file(make: Make, tmp_path: Path) -> None:
    certificate, key = make()
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    assert open_tls(both).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_files_that_are_not_there(make: Make, tmp_path: Path) -> None:
    certificate, key = make()
    nowhere = tmp_path / "nowhere.pem"
    for pair in ((nowhere, key), (certificate, nowhere)):
        with pytest.raises(ConfigError, match=f"{nowhere}: cannot be read: no such file"):
            open_tls(*pair)


def test_files_that_hold_something_else(make: Make, tmp_path: Path) -> None:
    certificate, key = make()
    text = tmp_path / "text.pem"
    text.write_text("no certificate\n")
    for pair in ((text, key), (certificate, text), (certificate, None), (key, certificate)):
        with pytest.raises(ConfigError, match="hold no certificate with its key; both must be PEM files"):
            open_tls(*pair)


def test_a_key_of_another_certificate(make: Make) -> None:
    certificate, other_key = make()[0], make("other")[1]
    with pytest.raises(ConfigError, match=f"{other_key}: is not the key of the certificate {certificate}"):
        open_tls(certificate, other_key)


def test_a_key_with_a_passphrase(make: Make) -> None:
    certificate, key = make("locked", "-passout", "pass:secret")
    with pytest.raises(ConfigError, match=f"{key}: the key has a passphrase; write it without one"):
        open_tls(certificate, key)


@pytest.mark.parametrize(
    ("begin", "end", "why"),
    [
        ("20200101000000Z", "20210101000000Z", "the certificate has expired; renew it"),
        ("20980101000000Z", "20990101000000Z", "the certificate is not valid yet; check the clock"),
    ],
)
def test_a_certificate_of_another_time(make: Make, tmp_path: Path, begin: str, end: str, why: str) -> None:
    _, key = make()
    request, certificate = tmp_path / "request.pem", tmp_path / "certificate.pem"
    (tmp_path / "index.txt").touch()
    (tmp_path / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=it\n[it]\ndatabase={tmp_path}/index.txt\nnew_certs_dir={tmp_path}\nrand_serial=yes\n"
        "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
    )
    sign = [
        "ca",
        "-batch",
        "-selfsign",
        "-notext",
        "-config",
        tmp_path / "ca.cnf",
        "-startdate",
        begin,
        "-enddate",
        end,
    ]
    for options in (
        ["req", "-new", "-key", key, "-subj", "/CN=localhost", "-out", request],
        [*sign, "-keyfile", key, "-in", request, "-out", certificate],
    ):
        subprocess.run(["openssl", *options], check=True, capture_output=True)
    with pytest.raises(ConfigError, match=f"{certificate}: {why}"):
        open_tls(certificate, key)


def test_a_certificate_that_ends_soon(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    certificate, key = make("soon", "-days", "3")
    with caplog.at_level(logging.WARNING):
        open_tls(certificate, key)
    assert f"{certificate}: the certificate ends in 2 days; renew it" in caplog.text
    caplog.clear()
    open_tls(*make())
    assert caplog.text == ""


def test_a_key_that_is_too_weak(make: Make) -> None:
    certificate, key = make("weak", "rsa:1024")
    with pytest.raises(ConfigError, match=f"{certificate}: is too weak"):
        open_tls(certificate, key)


def test_a_certificate_that_is_not_for_servers(make: Make) -> None:
    certificate, key = make("client", "-addext", "extendedKeyUsage=clientAuth")
    with pytest.raises(ConfigError, match=f"{certificate}: cannot be a server's certificate"):
        open_tls(certificate, key)
