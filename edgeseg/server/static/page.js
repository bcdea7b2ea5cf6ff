// The live page: asks for the state twice a second, and shows one camera or all of them.

import { Camera, number, setText } from "./camera.js";
import { drawChart, makeChart, percent } from "./chart.js";
import { PathEditor } from "./editor.js";

const POLL_MS = 500;
const SHARES_MS = 4000;
// Browsers keep at most six connections to a server: the rest is for questions.
const MOST_STREAMS = 4;

const byId = (id) => document.getElementById(id);
const cameras = new Map();
let connected = false;
let lastEvent = null;
let minutes = 5;
let webrtc = false;
const look = { hidden: new Set(), opacity: null, show: "classes" };
let saving = false;

// The address of the page tells what it shows, so that a reload, a link and the back button find it again:
// #front?hide=person&opacity=60, #front?show=entropy, or #front?video=webrtc
function readPlace() {
  const [name, query] = location.hash.slice(1).split("?");
  const fields = new URLSearchParams(query ?? "");
  look.hidden = new Set((fields.get("hide") ?? "").split(",").filter(Boolean));
  look.opacity = fields.has("opacity") ? Number(fields.get("opacity")) : null;
  look.show = fields.get("show") ?? "classes";
  saving = fields.get("video") === "webrtc";
  return name;
}

function lookQuery() {
  const fields = [];
  if (look.hidden.size) fields.push(`hide=${[...look.hidden].join(",")}`);
  if (look.opacity !== null) fields.push(`opacity=${look.opacity}`);
  if (look.show !== "classes") fields.push(`show=${look.show}`);
  return fields.join("&");
}

function placeOf(name) {
  const query = saving ? "video=webrtc" : lookQuery();
  return `#${name}${query && "?"}${query}`;
}

function chosen() {
  if (cameras.size === 1) return cameras.values().next().value;
  return cameras.get(readPlace()) ?? null;
}

function showPlace() {
  readPlace();
  const one = chosen();
  document.body.dataset.mode = cameras.size === 1 ? "one single" : one ? "one" : "all";
  byId("back").hidden = !one || cameras.size === 1;
  byId("back").firstElementChild.href = placeOf("");
  document.querySelector("h1 a").href = placeOf("");
  const query = lookQuery();
  let streams = 0;
  for (const camera of cameras.values()) {
    const shown = !one || camera === one;
    camera.element.hidden = !shown;
    camera.part(".open").hidden = Boolean(one);
    camera.part(".open").href = placeOf(camera.name);
    if (!shown || document.hidden || !connected) camera.rest();
    else if (saving && webrtc) camera.watchVideo();
    else if (streams++ < MOST_STREAMS) camera.watch(query && `&${query}`);
    else camera.glance(query && `&${query}`);
  }
  if (one) {
    byId("snapshot").href = `${one.base("snapshot.jpg")}${query && "?"}${query}`;
    byId("snapshot").download = `${one.name}.jpg`;
    byId("mask").href = one.base("mask.png");
    byId("mask").download = `${one.name}-classes.png`;
  }
  showLook();
  paths.show();
}

function resetLook() {
  Object.assign(look, { hidden: new Set(), opacity: null, show: "classes" });
}

function changeLook() {
  // Colours of one's own are drawn into the picture stream only.
  if (lookQuery()) saving = false;
  history.replaceState(null, "", placeOf(chosen()?.name ?? ""));
  setText(byId("notice"), "");
  showPlace();
}

function callFailed(text) {
  saving = false;
  changeLook();
  setText(byId("notice"), `The smaller video does not get here (${text}); this is the picture stream.`);
}

function refused(status, text) {
  if (status === 401) location.assign("login");
  else if (status === 503 || status === 400) {
    resetLook();
    changeLook();
    setText(byId("notice"), text);
  }
}

function makeClassRow(item) {
  const row = document.createElement("li");
  row.dataset.name = item.name;
  row.style.setProperty("--color", item.color);
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
  box.setAttribute("role", "switch");
  box.addEventListener("change", () => {
    if (box.checked) look.hidden.delete(item.name);
    else look.hidden.add(item.name);
    changeLook();
  });
  label.append(box, Object.assign(document.createElement("span"), { textContent: item.name }));
  const top = Object.assign(document.createElement("small"), { className: "one" });
  const share = Object.assign(document.createElement("b"), { className: "one" });
  const chart = Object.assign(document.createElement("div"), { className: "chart one" });
  chart.append(makeChart(item.color));
  row.append(label, top, share, chart);
  return row;
}

// The first class stays untinted in the picture, so it has no switch; its share is what the bar leaves free.
function makeClassRows(classes) {
  byId("classes").replaceChildren(...classes.slice(1).map(makeClassRow));
  byId("bar").replaceChildren(...classes.slice(1).map((item) => {
    const part = document.createElement("i");
    part.style.background = item.color;
    return part;
  }));
}

function showLook() {
  for (const row of byId("classes").children) row.querySelector("input").checked = !look.hidden.has(row.dataset.name);
  const own = cameras.size ? (chosen() ?? cameras.values().next().value).state.opacity : 50;
  const opacity = look.opacity ?? own;
  byId("saving").hidden = !webrtc;
  byId("save").checked = saving;
  byId("opacity").value = opacity;
  byId("show").value = look.show;
  setText(byId("opacity-value"), `${opacity} %`);
}

function showShares({ live, classes }) {
  const rows = byId("classes").children;
  classes.slice(1).forEach((item, i) => {
    const share = live ? item.share : null;
    byId("bar").children[i].style.width = `${100 * (share ?? 0)}%`;
    setText(rows[i].querySelector("b"), percent(share));
  });
}

function showNumbers(camera) {
  const { state } = camera;
  setText(byId("fps"), number(state.live ? state.fps : null, 1));
  setText(byId("age"), number(state.live ? camera.ageMs ?? state.age_ms : null));
  setText(byId("model"), number(state.live ? state.timings_ms.inference : null, 1));
  setText(byId("frames-in"), state.frames.in.toLocaleString());
  setText(byId("frames-dropped"), state.frames.dropped.toLocaleString());
  setText(byId("reconnects"), String(state.reconnects));
  const tail = state.age_percentiles_ms;
  setText(byId("percentiles"), tail ? `${["p50", "p95", "p99"].map((key) => number(tail[key])).join(" / ")} ms` : "–");
  showShares(state);
}

function show(state) {
  webrtc = state.webrtc;
  if (state.cameras.map((item) => item.name).join() !== [...cameras.keys()].join()) {
    cameras.forEach((camera) => camera.rest());
    cameras.clear();
    for (const item of state.cameras) cameras.set(item.name, new Camera(item, { onRefused: refused, onCallFailed: callFailed, onChange: announce }));
    byId("cameras").replaceChildren(...[...cameras.values()].map((camera) => camera.element));
    makeClassRows(state.cameras[0].classes);
    askShares();
    showPlace();
  }
  for (const item of state.cameras) cameras.get(item.name).state = item;
  const one = chosen();
  document.title = `${one ? one.name : `${cameras.size} cameras`} · edgeseg`;
  setText(byId("source"), one ? one.state.source : `${cameras.size} cameras`);
  if (one) showNumbers(one);
  byId("temperature").hidden = state.temperature_c === null;
  setText(byId("temperature").lastElementChild, `${number(state.temperature_c)} °C`);
  showRemarks(state.remarks);
  setText(byId("memory"), `${number(state.rss_bytes / 2 ** 20)} MiB`);
  setText(byId("viewers"), String(state.viewers));
  if (state.last_event !== lastEvent) askEvents(state.last_event);
}

function showRemarks(remarks) {
  const box = byId("remarks");
  // Only when it is something else: a reader of the screen says it aloud.
  if (remarks.join("\n") === [...box.children].map((row) => row.textContent).join("\n")) return;
  box.replaceChildren(...remarks.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
}

function showLink() {
  const lost = [...cameras.values()].filter((camera) => !camera.state.live).length;
  const pill = byId("link");
  const text = connected ? (lost ? `${cameras.size - lost} of ${cameras.size} live` : "live") : "no connection";
  pill.dataset.kind = !connected ? "away" : lost === cameras.size ? "lost" : lost ? "bad" : "live";
  setText(pill, cameras.size === 1 && connected ? cameras.values().next().value.judge(true).word : text);
  if (cameras.size === 1 && connected) pill.dataset.kind = cameras.values().next().value.judge(true).kind;
}

function announce(text) {
  setText(byId("announcer"), text);
}

function makeEvent(event) {
  const row = document.createElement("li");
  row.dataset.level = event.level;
  const at = new Date(event.at);
  const time = Object.assign(document.createElement("time"), { dateTime: event.at, textContent: at.toLocaleTimeString() });
  time.title = at.toLocaleString();
  row.append(time);
  const text = document.createElement("span");
  if (event.camera && cameras.size > 1) text.append(Object.assign(document.createElement("b"), { textContent: event.camera }), " ");
  text.append(event.text);
  row.append(text);
  return row;
}

async function ask(what) {
  const answer = await fetch(`api/${what}`, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (answer.status === 401) location.assign("login");
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
}

async function askEvents(number) {
  lastEvent = number;
  try {
    const events = await ask("events");
    // Who is in the path, and the path itself, change by events.
    await paths.ask();
    if (events.length) byId("events").replaceChildren(...events.reverse().map(makeEvent));
  } catch (error) {
    lastEvent = null;
  }
}

async function askShares() {
  const one = chosen();
  if (!one || document.hidden) return;
  let all;
  try {
    all = await ask("shares");
  } catch (error) {
    return;
  }
  const past = all[one.name];
  minutes = Math.round((past.steps * past.step_s) / 60);
  for (const row of byId("classes").children) {
    const values = past.shares[row.dataset.name] ?? [];
    const top = drawChart(row.querySelector("svg"), row.dataset.name, values, past.steps, minutes);
    setText(row.querySelector("small"), top === null ? "" : `max ${percent(top)}`);
  }
}

async function askSession() {
  const session = await ask("session");
  byId("logout").hidden = !session.can_log_out;
  byId("logout").title = session.user ? `Logged in as ${session.user}` : "";
}

async function poll() {
  let state = null;
  try {
    state = await ask("state");
  } catch (error) {
    // Shown below: it is what the page is about.
  }
  const was = connected;
  connected = state !== null;
  try {
    if (state) show(state);
    if (connected !== was) showPlace();
    for (const camera of cameras.values()) camera.show(connected);
    showLink();
  } finally {
    // Whatever goes wrong: a page that asks no more would go on saying what was true once.
    setTimeout(poll, POLL_MS);
  }
}

const paths = new PathEditor(chosen, cameras);

let sliding = null;
byId("opacity").addEventListener("input", (event) => {
  look.opacity = Number(event.target.value);
  setText(byId("opacity-value"), `${look.opacity} %`);
  clearTimeout(sliding);
  sliding = setTimeout(changeLook, 150);
});
byId("show").addEventListener("change", (event) => {
  look.show = event.target.value;
  changeLook();
});
byId("save").addEventListener("change", (event) => {
  saving = event.target.checked;
  resetLook();
  changeLook();
});
// What had the focus is hidden now: it goes to the way back, and from there to the picture that one comes from.
let came = null;
window.addEventListener("hashchange", () => {
  showPlace();
  askShares();
  const one = chosen();
  if (one && cameras.size > 1) byId("back").firstElementChild.focus({ preventScroll: true });
  else cameras.get(came)?.part(".open").focus({ preventScroll: true });
  came = one?.name ?? null;
  window.scrollTo(0, 0);
});
window.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !byId("back").hidden) location.assign(placeOf(""));
});
// A hidden tab lets go of its streams, so that nothing is encoded for nobody.
document.addEventListener("visibilitychange", showPlace);

askSession().catch(() => {});
setInterval(askShares, SHARES_MS);
poll();
