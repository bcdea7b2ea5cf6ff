// Video over WebRTC: fewer bytes than the picture stream, in the run's own colours.

const SILENT_MS = 5000;

export class Call {
  // onFailed(text) once, when no video gets through.
  constructor(video, { onFailed }) {
    this.video = video;
    this.onFailed = onFailed;
    this.address = null;
    this.peer = null;
    this.cameAt = 0;
  }

  start(address) {
    if (address === this.address) return;
    this.stop();
    this.address = address;
    this.cameAt = performance.now();
    const peer = (this.peer = new RTCPeerConnection());
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.addEventListener("track", (event) => {
      if (this.peer !== peer) return;
      this.video.srcObject = event.streams[0] ?? new MediaStream([event.track]);
      this.watch(peer);
    });
    this.connect(peer, address).catch((error) => {
      if (this.peer === peer) this.fail(error.message);
    });
  }

  async connect(peer, address) {
    await peer.setLocalDescription(await peer.createOffer());
    const { type, sdp } = peer.localDescription;
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ type, sdp }),
      signal: AbortSignal.timeout(10000),
    });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    await peer.setRemoteDescription(await answer.json());
  }

  // Every picture is noted, so that a video that stands still is not taken for a live one.
  watch(peer) {
    const note = () => {
      if (this.peer !== peer) return;
      this.cameAt = performance.now();
      this.video.requestVideoFrameCallback(note);
    };
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(note);
    else this.video.addEventListener("timeupdate", () => (this.cameAt = performance.now()));
  }

  get flowing() {
    return performance.now() - this.cameAt < SILENT_MS;
  }

  // To be called now and then.
  check() {
    if (this.peer && !this.flowing) this.fail("no video got through");
  }

  fail(text) {
    this.stop();
    this.onFailed(text);
  }

  stop() {
    this.address = null;
    this.peer?.close();
    this.peer = null;
    this.video.srcObject = null;
  }
}
