"""A real RTSP server for tests, run by the system's Python: `/usr/bin/python3 rtsp_server.py PORT [USER:PASSWORD]`.

Serves rtsp://127.0.0.1:PORT/drive as H.264, 640x360 at 25 a second, and prints "ready" when it listens. Every picture
tells when it was drawn: the milliseconds of the monotonic clock as 32 black or white squares at its top. Lines on stdin
steer it: `stall` keeps the connections and sends nothing, `go` sends again. It ends with its stdin. With `--check`
instead of the port it only says by its exit code whether all it needs is there.
"""

import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

WIDTH, HEIGHT, FPS, BITS = 640, 360, 25, 32
SQUARE = WIDTH // BITS
PIPELINE = (
    f"( appsrc name=camera is-live=true format=time do-timestamp=true "
    f"caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={FPS}/1 ! videoconvert "
    f"! video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={FPS} "
    "! rtph264pay name=pay0 pt=96 config-interval=1 )"
)

going = threading.Event()
going.set()


def draw(moment_ms: int) -> bytes:
    row = b"".join((b"\xeb" if moment_ms >> bit & 1 else b"\x10") * SQUARE for bit in reversed(range(BITS)))
    bar = moment_ms // 4 % (WIDTH - SQUARE)
    scene = b"\x50" * bar + b"\xc0" * SQUARE + b"\x50" * (WIDTH - SQUARE - bar)
    return row * SQUARE + scene * (HEIGHT - SQUARE)


def feed(_: object, media: GstRtspServer.RTSPMedia) -> None:
    camera = media.get_element().get_by_name("camera")

    def push() -> bool:
        if not going.is_set():
            return True
        moment_ms = time.monotonic_ns() // 1_000_000 % 2**BITS
        return camera.emit("push-buffer", Gst.Buffer.new_wrapped(draw(moment_ms))) == Gst.FlowReturn.OK

    GLib.timeout_add(1000 // FPS, push)


def listen_to_stdin(loop: GLib.MainLoop) -> None:
    for line in sys.stdin:
        if line.strip() == "stall":
            going.clear()
        else:
            going.set()
        print("done", flush=True)
    loop.quit()


def main() -> None:
    Gst.init(None)
    if sys.argv[1] == "--check":
        needed = ("appsrc", "videoconvert", "x264enc", "rtph264pay")
        sys.exit(not all(Gst.ElementFactory.find(element) for element in needed))
    loop = GLib.MainLoop()
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory(launch=PIPELINE, shared=True)
    factory.connect("media-configure", feed)
    if len(sys.argv) > 2:
        user, password = sys.argv[2].split(":")
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth = GstRtspServer.RTSPAuth()
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/drive", factory)
    if not server.attach(None):
        sys.exit(f"rtsp_server.py: port {sys.argv[1]} is taken")
    threading.Thread(target=listen_to_stdin, args=(loop,), daemon=True).start()
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main()
