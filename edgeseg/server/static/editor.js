// The path on the panel: what it is, and drawing, keeping and taking it back for the camera that is shown.

import { setText } from "./camera.js";

const byId = (id) => document.getElementById(id);

export class PathEditor {
  // `chosen()`: the camera that is shown alone, or null.
  constructor(chosen, cameras) {
    this.chosen = chosen;
    this.cameras = cameras;
    this.camera = null;
    this.state = null;
    byId("path-draw").addEventListener("click", () => this.begin());
    byId("path-save").addEventListener("click", () => this.save());
    byId("path-cancel").addEventListener("click", () => this.end());
    byId("path-reset").addEventListener("click", () => this.send("DELETE"));
    window.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.camera) return;
      // Not also the way back to all cameras.
      event.stopImmediatePropagation();
      this.end();
    }, { capture: true });
  }

  async ask() {
    const answer = await fetch("api/corridors", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    // A page that serves pictures without a run has no paths.
    if (answer.ok) this.take(await answer.json());
  }

  take(state) {
    this.state = state;
    for (const camera of this.cameras.values()) {
      if (state.cameras[camera.name]) camera.corridor.take(state.cameras[camera.name]);
    }
    this.show();
  }

  show() {
    const camera = this.chosen();
    if (this.camera && this.camera !== camera) this.end();
    const path = camera && this.state?.cameras[camera.name];
    byId("path").hidden = !path;
    if (!path) return;
    const drawing = this.camera !== null;
    byId("path-drawing").hidden = !drawing;
    byId("path-choices").hidden = drawing;
    setText(byId("path-draw"), path.corridor ? "Change the path" : "Draw the path");
    byId("path-reset").hidden = !path.drawn;
    byId("path-state").dataset.inside = path.person_in_path;
    setText(byId("path-state"), this.say(path));
    byId("path-keep").hidden = drawing || !path.drawn;
    setText(byId("path-line"), path.corridor ? `corridor: ${JSON.stringify(path.corridor)}` : "");
    setText(byId("path-kept"), this.state.kept ? "Kept on the device. For other devices and for video files:" : "Until this run ends. To keep it, under person_in_path: in the configuration:");
  }

  say(path) {
    if (!path.corridor) return "No path is drawn, so nobody can be in it.";
    return path.person_in_path ? "A person is in the path" : "Nobody is in the path";
  }

  begin() {
    this.camera = this.chosen();
    setText(byId("path-notice"), "");
    this.camera.corridor.begin();
    this.show();
  }

  end() {
    const camera = this.camera;
    this.camera = null;
    camera?.corridor.end();
    setText(byId("path-notice"), "");
    this.show();
    byId("path-draw").focus({ preventScroll: true });
  }

  save() {
    return this.send("PUT", { corridor: this.camera.corridor.points });
  }

  async send(method, body) {
    let text = "edgeseg does not answer. Try again.";
    try {
      const answer = await fetch(`api/corridors/${this.chosen().name}`, {
        method,
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(10000),
      });
      if (answer.status === 401) location.assign("login");
      if (answer.ok) {
        const state = await answer.json();
        this.end();
        this.take(state);
        return;
      }
      text = await answer.text();
    } catch (error) {
      // Told below; what was drawn is still there.
    }
    setText(byId("path-notice"), text.trim().replace(/^./, (letter) => letter.toUpperCase()));
  }
}
