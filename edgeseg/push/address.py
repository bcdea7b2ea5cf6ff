"""PushAddress: where pictures are pushed, and what of it may be shown."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

#: The container of each scheme, and the port where it needs none to be given.
SCHEMES = {"rtsp": ("rtsp", 554), "rtmp": ("flv", 1935), "srt": ("mpegts", None), "udp": ("mpegts", None)}
#: What an SRT address may say after `?`.
SRT_OPTIONS = ("streamid", "passphrase", "latency")
#: libsrt's limits.
PASSPHRASE_SIGNS = range(10, 80)


@dataclass(frozen=True, slots=True)
class PushAddress:
    """`rtsp://`, `rtmp://`, `srt://` or `udp://`. `{camera}` in it stands for the camera's name."""

    url: str

    @classmethod
    def parse(cls, text: str) -> PushAddress:
        """Raises ValueError, whose message follows what was written."""
        try:
            parts = urlsplit(text.replace("{camera}", "camera"))
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError as error:
            raise ValueError("is no address to push to; write for instance rtsp://10.0.0.2:8554/drive") from error
        if scheme not in SCHEMES or not host or any(sign.isspace() or not sign.isprintable() for sign in text):
            raise ValueError("is no address to push to; give rtsp://, rtmp://, srt:// or udp:// with a host")
        if port is None and SCHEMES[scheme][1] is None:
            raise ValueError(f"has no port; write {scheme}://HOST:PORT")
        if scheme in ("rtsp", "rtmp") and not parts.path.strip("/"):
            raise ValueError(f"has no path; write {scheme}://HOST/NAME")
        address = cls(text)
        if scheme == "srt":
            address.srt_options()
        return address

    def srt_options(self) -> dict[str, str]:
        """Returns what stands after `?` of an SRT address. Raises ValueError for what SRT does not have."""
        options = dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))
        if unknown := [name for name in options if name not in SRT_OPTIONS]:
            raise ValueError(f"has an option {unknown[0]!r}; there is {', '.join(SRT_OPTIONS)}")
        if not options.get("latency", "0").isdecimal():
            raise ValueError("has a latency that is no number of milliseconds; write for instance latency=120")
        if "passphrase" in options and len(options["passphrase"]) not in PASSPHRASE_SIGNS:
            raise ValueError("has a passphrase that is not 10 to 79 signs long, which SRT asks for")
        return options

    def for_camera(self, name: str) -> PushAddress:
        """Returns the address of one camera."""
        return PushAddress(self.url.replace("{camera}", name))

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def format(self) -> str:
        """The container as libavformat calls it."""
        return SCHEMES[self.scheme][0]

    @property
    def shown(self) -> str:
        """The address without what is secret: user and password, everything after `?`, the stream key of RTMP."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = "" if parts.port is None else f":{parts.port}"
        path = parts.path
        if parts.scheme == "rtmp" and path.strip("/").count("/"):
            path = f"{path.rstrip('/').rpartition('/')[0]}/***"
        return f"{parts.scheme}://{host}{port}{path}"

    def __str__(self) -> str:
        return self.url
