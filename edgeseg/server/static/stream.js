// Reads a picture stream part by part, so that the page knows of every picture when it came and how old it was. An
// <img> would show the same stream, but keep its last picture when the stream ends and tell nobody.

const SILENT_MS = 4000;
const RETRY_MS = 1000;

// Yields {headers, body} of a multipart answer whose parts have lengths.
async function* parts(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder("latin1");
  let held = new Uint8Array(0);
  const more = async () => {
    const { done, value } = await reader.read();
    if (done) return false;
    const joined = new Uint8Array(held.length + value.length);
    joined.set(held);
    joined.set(value, held.length);
    held = joined;
    return true;
  };
  try {
    for (;;) {
      let end;
      while ((end = decoder.decode(held.subarray(0, 1024)).indexOf("\r\n\r\n")) < 0) {
        if (held.length >= 1024) throw new Error("the stream is damaged");
        if (!(await more())) return;
      }
      const lines = decoder.decode(held.subarray(0, end)).split("\r\n");
      const headers = new Map(lines.filter((line) => line.includes(": ")).map((line) => line.toLowerCase().split(": ", 2)));
      const length = Number(headers.get("content-length"));
      const begin = end + 4;
      // Collected in pieces: joining them anew with every one that comes would copy large pictures many times.
      const body = new Uint8Array(length);
      let have = Math.min(length, held.length - begin);
      body.set(held.subarray(begin, begin + have));
      held = held.slice(begin + have);
      while (have < length) {
        const { done, value } = await reader.read();
        if (done) return;
        const taken = Math.min(length - have, value.length);
        body.set(value.subarray(0, taken), have);
        have += taken;
        held = value.slice(taken);
      }
      yield { headers, body };
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export class PictureStream {
  // onPicture(ageMs, lagMs) after each picture; onRefused(status, text) when the server has an answer but no pictures.
  constructor(canvas, { onPicture, onRefused }) {
    this.canvas = canvas;
    this.onPicture = onPicture;
    this.onRefused = onRefused;
    this.cameAt = null;
    this.address = null;
    this.abort = null;
  }

  // Shows the stream at `address`, or, with `slowly`, the single picture there once a second.
  start(address, { slowly = false } = {}) {
    if (address === this.address) return;
    this.stop();
    this.address = address;
    this.abort = new AbortController();
    this.run(address, this.abort.signal, slowly);
  }

  stop() {
    this.address = null;
    this.abort?.abort();
    this.abort = null;
  }

  // Whether pictures keep coming; before the first one, whether there is still time for it.
  get flowing() {
    return this.cameAt !== null && performance.now() - this.cameAt < SILENT_MS;
  }

  async run(address, signal, slowly) {
    this.cameAt = performance.now();
    while (!signal.aborted) {
      try {
        const answer = await fetch(address, { cache: "no-store", signal });
        if (answer.ok && slowly) await this.draw(await answer.blob(), signal);
        else if (answer.ok) await this.show(answer.body, signal);
        else {
          const text = await answer.text();
          // A single picture is refused while there is no live one, which the page says by itself.
          if (!signal.aborted && !(slowly && answer.status === 503)) this.onRefused(answer.status, text.trim());
        }
      } catch (error) {
        if (signal.aborted) return;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async show(stream, signal) {
    let offset = Infinity;
    for await (const { headers, body } of parts(stream)) {
      await this.draw(new Blob([body], { type: "image/jpeg" }), signal);
      if (signal.aborted) return;
      // The clocks differ by an unknown amount; what a picture took longer than the quickest one, it spent in a queue.
      const sentAt = Number(headers.get("x-time-ms"));
      offset = Math.min(offset, this.cameAt - sentAt);
      this.onPicture(Number(headers.get("x-age-ms")), this.cameAt - sentAt - offset);
    }
  }
  async draw(blob, signal) {
    const bitmap = await createImageBitmap(blob);
    if (signal.aborted) return;
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
    }
    this.context ??= this.canvas.getContext("bitmaprenderer") ?? this.canvas.getContext("2d");
    if (this.context.transferFromImageBitmap) this.context.transferFromImageBitmap(bitmap);
    else this.context.drawImage(bitmap, 0, 0);
    this.cameAt = performance.now();
  }
}
