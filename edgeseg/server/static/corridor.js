// The path of one camera over its picture: shown as an outline, and changed by dragging its corners.
//
// Corners are [x, y] in 0..1 of the picture. On the screen they are buttons, so that they can be reached and moved by
// keyboard and read out.

const STEP = 0.01;
const LARGE_STEP = 0.05;
const MOST = 64;
const START = [[0.2, 1], [0.44, 0.55], [0.56, 0.55], [0.8, 1]];
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const clamp = (value) => Math.min(1, Math.max(0, value));
const rounded = (value) => Math.round(value * 1000) / 1000;
const percent = (value) => `${Math.round(value * 100)} %`;

export class Corridor {
  // `layer`: an element over the picture, with an svg polygon in it; `picture()`: the element that is shown.
  constructor(layer, picture) {
    this.layer = layer;
    this.outline = layer.querySelector("polygon");
    this.picture = picture;
    this.saved = null;
    this.points = null;
    this.drawing = false;
    this.inside = false;
    new ResizeObserver(() => this.place()).observe(layer.parentElement);
  }

  take({ corridor, person_in_path: inside }) {
    this.saved = corridor;
    this.inside = inside;
    if (!this.drawing) this.points = corridor;
    this.place();
  }

  begin() {
    this.drawing = true;
    this.points = (this.saved ?? START).map((point) => [...point]);
    this.place();
    this.layer.querySelector(".corner").focus({ preventScroll: true });
  }

  end() {
    this.drawing = false;
    this.points = this.saved;
    this.place();
  }

  // Lays the layer over the picture itself, without the bars beside or above it, and draws.
  place() {
    this.layer.hidden = this.points === null;
    this.layer.dataset.drawing = this.drawing;
    this.layer.dataset.inside = this.inside;
    const picture = this.picture();
    const [width, height] = [picture.videoWidth ?? picture.width, picture.videoHeight ?? picture.height];
    if (this.points === null || !width || !height) return;
    const scale = Math.min(picture.clientWidth / width, picture.clientHeight / height);
    const [w, h] = [width * scale, height * scale];
    Object.assign(this.layer.style, {
      left: `${picture.offsetLeft + (picture.clientWidth - w) / 2}px`,
      top: `${picture.offsetTop + (picture.clientHeight - h) / 2}px`,
      width: `${w}px`,
      height: `${h}px`,
    });
    this.draw();
  }

  draw() {
    const text = this.points.map(([x, y]) => `${x * 1000},${y * 1000}`).join(" ");
    if (this.outline.getAttribute("points") !== text) this.outline.setAttribute("points", text);
    const corners = [...this.layer.querySelectorAll(".corner")];
    const count = this.drawing ? this.points.length : 0;
    if (corners.length === count) {
      corners.forEach((corner, i) => this.label(corner, i));
    } else {
      corners.forEach((corner) => corner.remove());
      this.layer.querySelectorAll(".edge").forEach((edge) => edge.remove());
      for (let i = 0; i < count; i += 1) this.layer.append(this.makeCorner(i));
      for (let i = 0; i < count && count < MOST; i += 1) this.layer.append(this.makeEdge(i));
    }
    this.layer.querySelectorAll(".edge").forEach((edge, i) => this.putAt(edge, this.middle(i)));
  }

  putAt(element, [x, y]) {
    element.style.left = `${x * 100}%`;
    element.style.top = `${y * 100}%`;
  }

  middle(i) {
    const [a, b] = [this.points[i], this.points[(i + 1) % this.points.length]];
    return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  }

  label(corner, i) {
    const [x, y] = this.points[i];
    this.putAt(corner, [x, y]);
    corner.setAttribute("aria-label", `Corner ${i + 1} of ${this.points.length}: ${percent(x)} from the left, ${percent(y)} from above`);
  }

  makeCorner(i) {
    const corner = Object.assign(document.createElement("button"), { type: "button", className: "corner" });
    this.label(corner, i);
    corner.addEventListener("keydown", (event) => this.press(event, i));
    corner.addEventListener("dblclick", () => this.remove(i));
    this.makeDraggable(corner, () => i);
    return corner;
  }

  // A corner to be: it is made by dragging or pressing it.
  makeEdge(i) {
    const edge = Object.assign(document.createElement("button"), { type: "button", className: "edge" });
    edge.setAttribute("aria-label", `Add a corner after corner ${i + 1}`);
    edge.addEventListener("click", () => this.add(i, this.middle(i)));
    return edge;
  }

  makeDraggable(element, index) {
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      element.setPointerCapture(event.pointerId);
      const box = this.layer.getBoundingClientRect();
      const move = ({ clientX, clientY }) => this.move(index(), (clientX - box.left) / box.width, (clientY - box.top) / box.height);
      element.addEventListener("pointermove", move);
      for (const kind of ["pointerup", "pointercancel"]) {
        element.addEventListener(kind, () => element.removeEventListener("pointermove", move), { once: true });
      }
    });
  }

  press(event, i) {
    const by = MOVES[event.key];
    if (by) {
      const step = event.shiftKey ? LARGE_STEP : STEP;
      this.move(i, this.points[i][0] + by[0] * step, this.points[i][1] + by[1] * step);
    } else if (event.key === "Delete" || event.key === "Backspace") this.remove(i);
    else return;
    event.preventDefault();
  }

  move(i, x, y) {
    this.points[i] = [rounded(clamp(x)), rounded(clamp(y))];
    this.draw();
  }

  add(after, point) {
    this.points.splice(after + 1, 0, point.map(rounded));
    this.draw();
    this.layer.querySelectorAll(".corner")[after + 1].focus();
  }

  remove(i) {
    if (this.points.length <= 3) return;
    this.points.splice(i, 1);
    this.draw();
    this.layer.querySelectorAll(".corner")[Math.min(i, this.points.length - 1)].focus();
  }
}
