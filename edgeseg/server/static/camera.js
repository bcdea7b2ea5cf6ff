// One camera on the page: its picture, what stands over it when there is none, and its line of numbers.

import { Call } from "./call.js";
import { Corridor } from "./corridor.js";
import { PictureStream } from "./stream.js";

const LAG_MS = 1500;

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function number(value, digits = 0) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

export class Camera {
  constructor(state, { onRefused, onCallFailed, onChange }) {
    this.name = state.name;
    this.state = state;
    this.ageMs = null;
    this.lagMs = 0;
    this.told = null;
    this.onChange = onChange;
    const template = document.getElementById("camera-template");
    this.element = template.content.firstElementChild.cloneNode(true);
    this.part = (selector) => this.element.querySelector(selector);
    this.element.dataset.name = this.name;
    this.part("h2").textContent = this.name;
    this.part(".open").setAttribute("aria-label", `Enlarge ${this.name}`);
    for (const picture of this.element.querySelectorAll(".picture")) {
      picture.setAttribute("aria-label", `${this.name}: live picture with road, vehicles and people coloured`);
    }
    this.corridor = new Corridor(this.part(".corridor"), () => this.part(".picture:not([hidden])"));
    this.call = new Call(this.part("video"), { onFailed: onCallFailed });
    this.stream = new PictureStream(this.part("canvas"), {
      onRefused,
      onPicture: (ageMs, lagMs) => {
        this.ageMs = ageMs + lagMs;
        this.lagMs = lagMs;
      },
    });
  }

  base(kind) {
    return `cameras/${this.name}/${kind}`;
  }

  watch(look) {
    this.showAs("canvas");
    this.call.stop();
    this.stream.start(`${this.base("stream.mjpg")}?notices=0${look}`);
  }

  // The same as video, in the run's own look.
  watchVideo() {
    this.showAs("video");
    this.stream.stop();
    this.ageMs = null;
    this.lagMs = 0;
    this.call.start(this.base("offer"));
  }

  showAs(kind) {
    this.part("canvas").hidden = kind !== "canvas";
    this.part("video").hidden = kind !== "video";
  }

  // A picture a second, for cameras beyond what a browser has connections for.
  glance(look) {
    this.showAs("canvas");
    this.call.stop();
    this.stream.start(`${this.base("snapshot.jpg")}?${look.slice(1)}`, { slowly: true });
  }

  rest() {
    this.stream.stop();
    this.call.stop();
  }

  // What is to be said of the camera: in a word, and over the picture when there is no live one.
  judge(connected) {
    const { state } = this;
    if (!connected) return { kind: "away", word: "no connection", text: "edgeseg does not answer. Trying again." };
    if (!state.live) {
      const words = { lost: "no signal", waiting: "waiting", stalled: "stalled", stopped: "ended" };
      const { kind, text, reason } = state.silence;
      return { kind, word: words[kind] ?? kind, text, reason };
    }
    if (this.stream.address !== null && !this.stream.flowing) {
      return { kind: "stalled", word: "no picture", text: "The camera is live, but no picture gets here. Trying again." };
    }
    if (state.condition !== "ok") return { kind: "bad", word: state.condition };
    return { kind: "live", word: "live" };
  }

  show(connected) {
    const { state } = this;
    if (connected && state.live) this.call.check();
    const said = this.judge(connected);
    this.corridor.place();
    const pill = this.part(".pill");
    pill.dataset.kind = said.kind;
    setText(pill, said.word);
    this.element.dataset.kind = said.kind;
    const veil = this.part(".veil");
    setText(veil.children[0], said.text ?? "");
    setText(veil.children[1], said.reason ?? "");
    veil.hidden = !said.text;
    this.showBadges(said);
    setText(this.part(".fps"), number(state.live ? state.fps : null, 1));
    setText(this.part(".age"), number(state.live ? this.ageMs ?? state.age_ms : null));
    // For who listens: what has changed, not the seconds that count up.
    const told = said.kind === "bad" ? state.condition_text : said.word;
    if (this.told !== null && this.told !== told) this.onChange(`${this.name}: ${told}`);
    this.told = told;
  }

  showBadges(said) {
    const { state } = this;
    const badges = [];
    if (state.condition !== "ok" && !said.text) badges.push(state.condition_text);
    if (!said.text && state.stale) badges.push(`Late: ${number(state.age_ms)} ms, limit ${number(state.max_age_ms)} ms`);
    if (!said.text && this.lagMs > LAG_MS) badges.push(`${(this.lagMs / 1000).toFixed(1)} s behind: slow connection`);
    const box = this.part(".badges");
    if (box.dataset.text === badges.join("\n")) return;
    box.dataset.text = badges.join("\n");
    box.replaceChildren(...badges.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
  }
}
