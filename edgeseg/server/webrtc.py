"""Video over WebRTC: a tenth of the bytes of the picture stream, for viewers who ask for it.

aiortc carries it; it is an extra of the installation and is imported only where it was asked for. What it would encode
for every viewer anew is encoded here once for all, and handed to it ready made.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from concurrent.futures import Executor
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet
from av.video.stream import VideoStream

from edgeseg.server.guard import Grant
from edgeseg.server.video import VideoFeed
from edgeseg.server.view import View

logger = logging.getLogger(__name__)

#: Viewers at a time: each costs the encryption and sending of its packets in this very thread.
MOST_PEERS = 8
#: Seconds in which a connection must have come about.
CONNECT_S = 15.0
#: Packets that a viewer may be behind. One that falls further behind goes on at the next picture of its own.
MOST_WAITING = 30


class TooManyPeers(Exception):
    """One more viewer would take more than the machine is to spend on them."""


class BadOffer(Exception):
    """An offer is none, or offers something else than to watch."""


class PacketTrack(MediaStreamTrack):
    """The packets of a feed for one viewer, from one that can be decoded by itself on."""

    kind = "video"

    def __init__(self, feed: VideoFeed) -> None:
        super().__init__()
        self._feed = feed
        self._packets: asyncio.Queue[Packet[VideoStream] | None] = asyncio.Queue(MOST_WAITING)
        self._begun = False
        feed.add(self.take)

    def take(self, packet: Packet[VideoStream]) -> None:
        if self._packets.full():
            while not self._packets.empty():
                self._packets.get_nowait()
            self._begun = False
        self._begun = self._begun or packet.is_keyframe
        if self._begun:
            self._packets.put_nowait(packet)

    async def recv(self) -> Packet[VideoStream]:
        packet = await self._packets.get() if self.readyState == "live" else None
        if packet is None:
            raise MediaStreamError
        return packet

    def stop(self) -> None:
        if self.readyState == "live":
            super().stop()
            self._feed.remove(self.take)
            # Whoever waits for the next packet is told that there is none.
            while self._packets.full():
                self._packets.get_nowait()
            self._packets.put_nowait(None)


class Peers:
    """The WebRTC viewers of every camera. Lives on one event loop; `executor` does the encoding."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._feeds: dict[tuple[str, str], VideoFeed] = {}
        self._peers: dict[RTCPeerConnection, asyncio.Task[None]] = {}
        self._closing = False

    @property
    def count(self) -> int:
        """How many watch now, or are about to."""
        return len(self._peers)

    async def answer(self, view: View, offer: Any, grant: Grant) -> dict[str, str]:
        """Returns the answer to a browser's offer, after which it is sent video for as long as `grant` holds.

        Raises BadOffer and TooManyPeers.
        """
        sdp = _check_offer(offer)
        codec = _choose_codec(sdp)
        if self._closing or len(self._peers) >= MOST_PEERS:
            raise TooManyPeers
        # No server elsewhere is asked for anything: this works where the browser reaches this machine by itself.
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers[peer] = asyncio.create_task(self._watch_over(peer, grant))
        try:
            peer.addTrack(PacketTrack(self._feed(view, codec)))
            _prefer(peer, codec)
            await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            await peer.setLocalDescription(await peer.createAnswer())
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError) as error:
            # aiortc's parser of what browsers write raises whatever it stumbles over.
            await self._close(peer)
            raise BadOffer("the offer cannot be read") from error
        except (InvalidAccessError, InvalidStateError) as error:
            await self._close(peer)
            raise BadOffer("the offer cannot be answered") from error
        except BaseException:
            await self._close(peer)
            raise
        return {"type": "answer", "sdp": peer.localDescription.sdp}

    async def close(self) -> None:
        """Ends every connection, and lets none begin."""
        self._closing = True
        await asyncio.gather(*(self._close(peer) for peer in list(self._peers)))
        for feed in self._feeds.values():
            await feed.close()

    def _feed(self, view: View, codec: str) -> VideoFeed:
        key = (view.name, codec)
        if key not in self._feeds:
            self._feeds[key] = VideoFeed(view, codec, self._executor)
        return self._feeds[key]

    async def _watch_over(self, peer: RTCPeerConnection, grant: Grant) -> None:
        """Closes a connection that does not come about, breaks off, or whose viewer is logged out."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + CONNECT_S
        while grant.holds and peer.connectionState not in ("failed", "closed"):
            if peer.connectionState != "connected" and loop.time() > give_up_at:
                break
            if peer.connectionState == "connected":
                give_up_at = loop.time() + CONNECT_S
            await asyncio.sleep(0.5)
        await self._close(peer, watched=False)

    async def _close(self, peer: RTCPeerConnection, *, watched: bool = True) -> None:
        watch = self._peers.pop(peer, None)
        if watch is not None and watched:
            watch.cancel()
        for sender in peer.getSenders():
            if sender.track is not None:
                sender.track.stop()
        with contextlib.suppress(ConnectionError):
            await peer.close()


def _check_offer(offer: Any) -> str:
    """Returns the session description of an offer to watch one video. Raises BadOffer."""
    if not isinstance(offer, dict) or offer.get("type") != "offer" or not isinstance(offer.get("sdp"), str):
        raise BadOffer('an offer is {"type": "offer", "sdp": ...}')
    lines = offer["sdp"].splitlines()
    media = [line for line in lines if line.startswith("m=")]
    if len(media) != 1 or not media[0].startswith("m=video "):
        raise BadOffer("an offer must be for one video and nothing else")
    # The browser finds this machine, and is answered where it comes from: nobody can name another place to be knocked
    # at, and the names by which browsers hide their address need not be looked up.
    return "\r\n".join(line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))) + "\r\n"


def _choose_codec(sdp: str) -> str:
    """Returns "h264" or "vp8", whichever the browser plays and this encodes for less. Raises BadOffer."""
    # Baseline, as video.py makes it, with or without its constraints.
    if re.search(r"^a=fmtp:\d+ .*\bprofile-level-id=42(?:e0|00)1f\b", sdp, re.MULTILINE | re.IGNORECASE):
        return "h264"
    if re.search(r"^a=rtpmap:\d+ VP8/90000\b", sdp, re.MULTILINE | re.IGNORECASE):
        return "vp8"
    raise BadOffer("an offer must take H.264 baseline or VP8")


def _prefer(peer: RTCPeerConnection, codec: str) -> None:
    (transceiver,) = peer.getTransceivers()
    known = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([it for it in known if it.mimeType.lower() == f"video/{codec}"])
