"""WebRTC against a real peer: what is answered, what is not, and who is let go."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import UsageError
from edgeseg.server import page as page_module
from edgeseg.server.access_config import Access
from edgeseg.server.guard import Grant
from tests.edgeseg.server.live import Drive, Site, wait_until

aiortc = pytest.importorskip("aiortc", reason="needs aiortc: pip install 'edgeseg[webrtc]'")

TOKEN = "not-to-be-guessed-by-anybody"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CONTENT = {"Content-Type": "application/json"}


class Browser:
    """The other side: offers to watch a video."""

    def __init__(self, site: Site, codec: str | None = None) -> None:
        self.site = site
        self.peer = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.tracks: list[Any] = []
        self.peer.on("track", self.tracks.append)
        transceiver = self.peer.addTransceiver("video", direction="recvonly")
        if codec is not None:
            known = aiortc.RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([it for it in known if it.mimeType == codec])

    async def offer(self) -> str:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def connect(self, headers: dict[str, str] | None = None) -> Any:
        """Offers and takes the answer; returns what the page said."""
        body = json.dumps({"type": "offer", "sdp": await self.offer()})
        answer = await asyncio.to_thread(
            self.site.ask, "POST", "/cameras/front/offer", {**CONTENT, **(headers or {})}, body
        )
        if answer.status == 200:
            await self.peer.setRemoteDescription(aiortc.RTCSessionDescription(**answer.json))
        return answer

    async def picture(self) -> np.ndarray:
        frame = await asyncio.wait_for(self.tracks[0].recv(), 15)
        return np.asarray(frame.to_ndarray(format="bgr24"))

    async def watch_to_the_end(self) -> None:
        while True:
            await self.picture()


@pytest.mark.parametrize("codec", ["video/H264", "video/VP8"])
def test_a_peer_sees_the_overlay_until_the_page_ends(codec: str) -> None:
    async def watch(site: Site) -> None:
        browser = Browser(site, codec)
        try:
            answer = await browser.connect(BEARER)
            assert answer.status == 200
            assert codec.removeprefix("video/") in answer.json["sdp"]
            pictures = [await browser.picture() for _ in range(5)]
            assert pictures[-1].shape == (360, 640, 3)
            # The road, tinted green: BGR.
            assert np.abs(pictures[-1][340, 320].astype(int) - (105, 140, 64)).max() < 16
            state = await asyncio.to_thread(site.get, "/api/state", BEARER)
            assert (state.json["viewers"], state.json["webrtc"]) == (1, True)
            await asyncio.to_thread(site.__exit__)
            with pytest.raises(aiortc.mediastreams.MediaStreamError):
                await browser.watch_to_the_end()
        finally:
            await browser.peer.close()

    site = Site(webrtc=True, token=TOKEN)
    with Drive(site.cameras[0]):
        site.__enter__()
        try:
            asyncio.run(watch(site))
        finally:
            site.__exit__()


def test_whoever_loses_the_key_is_let_go_and_peers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.server.webrtc.MOST_PEERS", 1)

    async def watch(site: Site) -> None:
        browser, second = Browser(site), Browser(site)
        try:
            assert (await browser.connect(BEARER)).status == 200
            await browser.picture()
            answer = await second.connect(BEARER)
            assert (answer.status, answer.body) == (503, b"too many watch this way already\n")
            users = Access(users={"viewer": "$scrypt$ln=4,r=8,p=1$" + "A" * 22 + "$" + "A" * 43})
            site.page._token = None
            await asyncio.to_thread(site.page.use_access, users)
            with pytest.raises(aiortc.mediastreams.MediaStreamError):
                await browser.watch_to_the_end()
        finally:
            await browser.peer.close()
            await second.peer.close()

    with Site(webrtc=True, token=TOKEN) as site, Drive(site.cameras[0]):
        asyncio.run(watch(site))


def test_nobody_begins_to_watch_while_the_page_ends() -> None:
    async def offer_too_late(site: Site) -> None:
        browser = Browser(site)
        peers = Peers(ThreadPoolExecutor(1))
        try:
            sdp = await browser.offer()
            await peers.close()
            with pytest.raises(TooManyPeers):
                await peers.answer(site.cameras[0].view, {"type": "offer", "sdp": sdp}, Grant(lambda: True))
            assert peers.count == 0
        finally:
            await browser.peer.close()

    from edgeseg.server.webrtc import Peers, TooManyPeers

    asyncio.run(offer_too_late(Site()))


def test_a_peer_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.server.webrtc.CONNECT_S", 0.5)

    async def offer(site: Site) -> str:
        browser = Browser(site)
        try:
            return await browser.offer()
        finally:
            await browser.peer.close()

    with Site(webrtc=True) as site:
        body = json.dumps({"type": "offer", "sdp": asyncio.run(offer(site))})
        assert site.ask("POST", "/offer", CONTENT, body).status == 200
        wait_until(lambda: site.get("/api/state").json["viewers"] == 0)


VIDEO = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "[]",
        "{",
        "[" * 40_000,
        '"offer"',
        '{"type": "answer", "sdp": ""}',
        '{"type": "offer"}',
        '{"type": "offer", "sdp": 1}',
        '{"type": "offer", "sdp": ""}',
        json.dumps({"type": "offer", "sdp": VIDEO}),
        json.dumps({"type": "offer", "sdp": VIDEO + "a=rtpmap:96 AV1/90000\r\n"}),
        json.dumps({"type": "offer", "sdp": VIDEO + "a=rtpmap:96 VP8/90000\r\n"}),
        json.dumps({"type": "offer", "sdp": VIDEO + "a=rtpmap:96 VP8/90000\r\na=fingerprint:x\r\na=setup:\r\n"}),
        json.dumps({"type": "offer", "sdp": VIDEO + "a=rtpmap:96 VP8/90000\r\nc=\r\na=rtcp:\r\na=ssrc:\r\n"}),
        json.dumps({"type": "offer", "sdp": VIDEO + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"}),
        json.dumps({"type": "offer", "sdp": VIDEO.replace("video", "audio")}),
    ],
)
def test_what_is_no_offer_to_watch(offer: str, caplog: pytest.LogCaptureFixture) -> None:
    with Site(webrtc=True) as site:
        answer = site.ask("POST", "/offer", CONTENT, offer)
        assert answer.status == 400
        assert answer.body.startswith((b"an offer", b"the offer"))
        assert site.get("/api/state").json["viewers"] == 0
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]


def test_an_offer_needs_a_log_in_and_comes_from_this_page() -> None:
    with Site(webrtc=True, token=TOKEN) as site:
        assert site.ask("POST", "/cameras/front/offer", CONTENT, "{}").status == 401
        elsewhere = {**CONTENT, **BEARER, "Origin": "http://evil.example"}
        assert site.ask("POST", "/cameras/front/offer", elsewhere, "{}").status == 403
        assert site.ask("POST", "/cameras/rear/offer", {**CONTENT, **BEARER}, "{}").status == 404
        assert site.ask("POST", "/cameras/front/offer", {**CONTENT, **BEARER}, "x" * 70_000).status == 413


def test_it_is_there_only_where_it_was_asked_for() -> None:
    with Site() as site:
        assert site.ask("POST", "/offer", CONTENT, "{}").status == 404
        assert site.get("/api/state").json["webrtc"] is False


def test_aiortc_that_is_missing_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"http\.webrtc: needs aiortc; pip install 'edgeseg\[webrtc\]'"):
        Site(webrtc=True).__enter__()


def test_addresses_of_the_offer_are_not_knocked_at() -> None:
    """A listener on this machine that an offer names as where the browser is hears nothing."""

    async def offer(site: Site) -> str:
        browser = Browser(site)
        try:
            return await browser.offer()
        finally:
            await browser.peer.close()

    with Site(webrtc=True) as site, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        sdp = asyncio.run(offer(site))
        addresses = [line.split()[4] for line in sdp.splitlines() if line.startswith("a=candidate:")]
        if not addresses:
            pytest.skip("needs a network beside loopback")
        victim.bind((addresses[0], 0))
        victim.settimeout(0.5)
        port = victim.getsockname()[1]
        lines = [line for line in sdp.splitlines() if not line.startswith("a=candidate:")]
        lines.append(f"a=candidate:1 1 udp 2130706431 {addresses[0]} {port} typ host")
        body = json.dumps({"type": "offer", "sdp": "\r\n".join([*lines, ""])})
        assert site.ask("POST", "/offer", CONTENT, body).status == 200
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            victim.recv(2048)
        assert time.monotonic() - began < 10
