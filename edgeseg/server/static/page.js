// Shows the state of a run beside its picture. Asks for the numbers twice a second; the picture is a stream of its own.

const POLL_MS = 500;
const TRACE_POINTS = 120; // a minute

const byId = (id) => document.getElementById(id);
const picture = byId("picture");
const ages = [];
let connected = false;

function number(value, digits = 0) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

function percent(share) {
  return share === null ? "–" : `${(100 * share).toFixed(1)} %`;
}

// The first class stays untinted in the picture, so here too.
function tint(item, classes) {
  return item === classes[0] ? "transparent" : item.color;
}

function showStream() {
  // A new address makes the browser ask again: after an error it would keep the broken picture.
  picture.src = `stream.mjpg?${Date.now()}`;
}

function showVeil(text) {
  const veil = byId("veil");
  if (veil.textContent !== text) veil.textContent = text;
  veil.hidden = text === "";
}

function showState(name, text) {
  const pill = byId("state");
  pill.dataset.state = name;
  if (pill.textContent !== text) pill.textContent = text;
}

function showTrace(age) {
  ages.push(age);
  if (ages.length > TRACE_POINTS) ages.shift();
  const known = ages.filter((value) => value !== null);
  const top = Math.max(20, ...known) * 1.15;
  const points = [];
  ages.forEach((value, i) => {
    if (value === null) return;
    const x = 240 - ((ages.length - 1 - i) * 240) / (TRACE_POINTS - 1);
    points.push([x.toFixed(1), (48 - (46 * value) / top).toFixed(1)]);
  });
  if (points.length < 2) return;
  const line = "M" + points.map((point) => point.join(" ")).join("L");
  byId("trace-line").setAttribute("d", line);
  byId("trace-area").setAttribute("d", `${line}L${points[points.length - 1][0]} 48L${points[0][0]} 48Z`);
  byId("trace-top").textContent = `highest ${number(Math.max(...known))} ms`;
}

function showClasses(classes) {
  const bar = byId("bar");
  const list = byId("classes");
  if (list.children.length !== classes.length) {
    bar.replaceChildren(...classes.map(() => document.createElement("i")));
    list.replaceChildren(...classes.map((item) => {
      const row = document.createElement("li");
      const swatch = document.createElement("i");
      const name = document.createElement("span");
      swatch.style.background = tint(item, classes);
      name.textContent = item.name;
      row.dataset.name = item.name;
      row.append(swatch, name, document.createElement("b"));
      return row;
    }));
  }
  classes.forEach((item, i) => {
    bar.children[i].style.background = tint(item, classes);
    bar.children[i].style.width = `${100 * (item.share ?? 0)}%`;
    list.children[i].lastChild.textContent = percent(item.share);
  });
}

function show(state) {
  document.title = `${state.source} · edgeseg`;
  byId("source").textContent = state.source;
  byId("fps").textContent = number(state.fps, 1);
  byId("age").textContent = number(state.age_ms);
  byId("model").textContent = number(state.timings_ms.inference, 1);
  byId("frames-in").textContent = state.frames.in.toLocaleString();
  byId("frames-dropped").textContent = state.frames.dropped.toLocaleString();
  const tail = state.age_percentiles_ms;
  byId("percentiles").textContent = tail ? `${["p50", "p95", "p99"].map((key) => number(tail[key])).join(" / ")} ms` : "–";
  byId("memory").textContent = `${number(state.rss_bytes / 2 ** 20)} MiB`;
  byId("viewers").textContent = state.viewers;
  showClasses(state.classes);
  showTrace(state.state === "running" ? state.age_ms : null);
  showState(state.state, { running: "live" }[state.state] ?? state.state);
  const silence = state.picture_age_s;
  if (state.state === "starting") showVeil("Waiting for the first picture");
  else if (state.state === "stopped") showVeil("The run has ended");
  else if (state.state === "stalled") showVeil(silence === null ? "No picture yet" : `No new picture for ${number(silence)} s`);
  else showVeil("");
}

async function poll() {
  try {
    const answer = await fetch("api/state", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
    if (!connected) {
      connected = true;
      if (!document.hidden) showStream();
    }
  } catch (error) {
    connected = false;
    showState("lost", "no connection");
    showVeil("edgeseg does not answer. Trying again.");
  }
  setTimeout(poll, POLL_MS);
}

// A hidden tab lets go of the stream, so that nothing is encoded for nobody.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) picture.removeAttribute("src");
  else if (connected) showStream();
});

poll();
