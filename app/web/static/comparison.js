/** Cosine similarities of the pictures, as they are shown, with texts or with each other. */

import { byId, debounced, element, shown, write } from "./elements.js";
import { askJson } from "./server.js";
import { jsonCode, showCode } from "./snippets.js";

const TOO_LARGE = "These pictures are too large to compare at once; remove some.";

/** Draws the matrix of the tab "Compare", whenever it is open and something changes. */
export class Comparison {
  #album;
  #request = null;
  #soon = debounced(() => this.#compare(), 300);

  constructor(album, question) {
    this.#album = album;
    for (const name of ["list", "shown", "changed"]) album.addEventListener(name, () => this.update());
    byId("comparison").addEventListener("input", () => this.update());
    byId("comparison").addEventListener("submit", (event) => event.preventDefault());
    question.addEventListener("change", () => this.#suggest(question));
    byId("texts").addEventListener("input", () => { this.isTyped = true; });
    this.#suggest(question);
  }

  /** Offer only pictures to compare with if the server has loaded no text encoder. */
  offer(readsTexts) {
    const { other } = byId("comparison").elements;
    other[0].disabled = !readsTexts;
    if (!readsTexts) other.value = "images";
    this.update();
  }

  update() {
    if (byId("compare").hidden) return;
    byId("texts-control").hidden = this.#withImages;
    byId("matrix").setAttribute("aria-busy", "true");
    this.#soon();
  }

  #suggest(question) {
    if (!this.isTyped) byId("texts").value = question.labels.join("\n");
    this.update();
  }

  get #withImages() {
    return byId("comparison").elements.other.value === "images";
  }

  get #texts() {
    return byId("texts").value.split("\n").map((text) => text.trim()).filter(Boolean);
  }

  /** What stands in the way of a comparison, as one sentence; "" if nothing does. */
  get #missing() {
    const pictures = this.#readable.length;
    if (pictures === 0) return this.#leftOut || "Choose a picture first.";
    if (this.#withImages) return pictures < 2 ? "Add a second picture to compare with." : "";
    return this.#texts.length === 0 ? "Write at least one text." : "";
  }

  get #leftOut() {
    const some = this.#album.pictures.some((picture) => picture.standardized);
    return some ? "Pictures that are shown after the first step of the Azure endpoint are left out." : "";
  }

  get #readable() {
    return this.#album.pictures.filter((picture) => picture.png && !picture.standardized);
  }

  async #compare() {
    this.#request?.abort();
    if (this.#album.pictures.some((picture) => picture.busy)) return; // each of them tells when it is shown
    const missing = this.#missing;
    write("compare-note", missing);
    write("compare-error", "");
    byId("compare-code").hidden = missing !== "";
    if (missing) {
      this.#empty();
      return;
    }
    const pictures = this.#readable;
    const columns = this.#withImages ? pictures : this.#texts;
    const files = pictures.map(smallest);
    const request = (this.#request = new AbortController());
    try {
      const images = await Promise.all(files.map(({ content }) => base64(content)));
      const body = JSON.stringify({ a: { images }, b: this.#withImages ? { images } : { texts: columns } });
      const headers = { "content-type": "application/json" };
      const answer = await askJson("similarity", { method: "POST", headers, body, signal: request.signal });
      this.#draw(pictures, columns, answer.similarity);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#empty();
      write("compare-error", error.status === 413 ? TOO_LARGE : error.message);
    }
    const names = files.map(({ name }) => name);
    showCode(byId("compare-code"), jsonCode("similarity", names, this.#withImages ? null : columns));
  }

  #empty() {
    byId("matrix").replaceChildren();
    byId("matrix").setAttribute("aria-busy", "false");
  }

  #draw(pictures, columns, similarity) {
    const all = similarity.flat();
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const heat = (value) => (high > low ? (value - low) / (high - low) : 1);
    const cell = (value) => element("td", { style: { "--heat": heat(value) }, title: String(value) }, shown(value));
    const rows = similarity.map((row, place) => element("tr", {}, heading(pictures[place], "row"), ...row.map(cell)));
    const head = element("tr", {}, element("td"), ...columns.map((column) => heading(column, "col")));
    byId("matrix").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
    byId("matrix").setAttribute("aria-busy", "false");
    const shades = `From ${shown(low)} (no shade) to ${shown(high)} (full shade).`;
    write("compare-note", `${shades} ${this.#leftOut}`);
  }
}

/** A file that the server reads as the picture is shown: the visitor's, if that is smaller than the PNG file. */
function smallest(picture) {
  const isUntouched = Object.keys(picture.params).length === 0;
  if (isUntouched && picture.file.size <= picture.png.size) return { name: picture.name, content: picture.file };
  return { name: picture.pngName, content: picture.png };
}

function heading(entry, scope) {
  if (typeof entry === "string") return element("th", { scope }, entry);
  return element("th", { scope }, element("img", { src: entry.url, alt: "" }), entry.name);
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
