// Draws the share of one class over the last minutes into an <svg>, to its own scale.

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 36;

export function percent(share) {
  if (share === null || share === undefined) return "–";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

export function makeChart(color) {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  for (const name of ["area", "line"]) {
    const path = document.createElementNS(NS, "path");
    path.setAttribute("class", name);
    svg.append(path);
  }
  svg.style.setProperty("--color", color);
  return svg;
}

// values: oldest first, null for a gap; steps: how many fit. Returns the largest value, null when there is none.
export function drawChart(svg, name, values, steps, minutes) {
  const known = values.filter((value) => value !== null);
  const top = known.length ? Math.max(...known) : null;
  const runs = [];
  let run = null;
  values.forEach((value, i) => {
    if (value === null) {
      run = null;
      return;
    }
    if (run === null) runs.push((run = []));
    const x = WIDTH - ((values.length - 1 - i) * WIDTH) / (steps - 1);
    run.push([x.toFixed(1), (HEIGHT - 1 - ((HEIGHT - 5) * value) / (top || 1)).toFixed(1)]);
  });
  const [area, line] = svg.children;
  line.setAttribute("d", runs.map((points) => "M" + points.map((point) => point.join(" ")).join("L")).join(""));
  area.setAttribute("d", runs.map((points) => {
    const outline = points.map((point) => point.join(" ")).join("L");
    return `M${points[0][0]} ${HEIGHT}L${outline}L${points[points.length - 1][0]} ${HEIGHT}Z`;
  }).join(""));
  const text = known.length
    ? `${name} over the last ${minutes} minutes: from ${percent(Math.min(...known))} to ${percent(top)}, last ${percent(known[known.length - 1])}`
    : `${name}: nothing known yet`;
  svg.setAttribute("aria-label", text);
  return top;
}
