"""A real RTSP server for tests that records, run by the system's Python: `rtsp_recorder.py PORT FILE [USER:PASSWORD]`.

Whoever pushes H.264 to rtsp://127.0.0.1:PORT/drive (ANNOUNCE and RECORD) fills FILE with it, as a byte stream. Prints
"ready" when it listens, ends with its stdin.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

ELEMENTS = ("rtph264depay", "h264parse", "filesink")


def protect(server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, credentials: str) -> None:
    user, password = credentials.split(":")
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "sender")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("access", "construct"):
        permissions.add_permission_for_role("sender", f"media.factory.{permission}", True)
    factory.set_permissions(permissions)


def main() -> None:
    Gst.init(None)
    if sys.argv[1] == "--check":
        sys.exit(not all(Gst.ElementFactory.find(element) for element in ELEMENTS))
    loop = GLib.MainLoop()
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
    pipeline = "( rtph264depay name=depay0 ! h264parse ! video/x-h264,stream-format=byte-stream ! filesink sync=false )"
    factory = GstRtspServer.RTSPMediaFactory(
        launch=pipeline.replace("filesink", f"filesink location={sys.argv[2]} buffer-mode=unbuffered")
    )
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    if len(sys.argv) > 3:
        protect(server, factory, sys.argv[3])
    server.get_mount_points().add_factory("/drive", factory)
    if not server.attach(None):
        sys.exit(f"rtsp_recorder.py: port {sys.argv[1]} is taken")
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main()
