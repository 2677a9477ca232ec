/** The visitor's pictures: their files, how each is to be read, and which one is shown. */

import { queued } from "./elements.js";
import { kindOf } from "./files.js";
import { ask, foreign } from "./server.js";

export const MOST_PICTURES = 200;
const RENDERS_AT_ONCE = 2;
const UNTOUCHED = { frame: null, axis: "axial", window: "", contrast: "none" };

/**
 * One picture of a file.
 *
 * frames: number of frames or slices; 1 until the first picture has come. url: the picture as PNG, for <img>.
 * png: the same as a Blob. drawn: its frame, which is not yet the chosen one while the picture is busy.
 * error: why there is none. busy: whether a picture is on its way.
 */
class Picture {
  constructor(file, kind) {
    Object.assign(this, { file, kind, name: file.name, settings: { ...UNTOUCHED }, frames: 1, url: "", png: null });
    Object.assign(this, { drawn: 0, error: "", busy: true, standardized: false });
  }

  /** The parameters of its requests that differ from the server's defaults, by their names in the API. */
  get params() {
    const { frame, axis, window, contrast } = this.settings;
    const all = { frame: frame === null ? "" : String(frame), axis: axis === "axial" ? "" : axis };
    Object.assign(all, { dicom_window: window, contrast: contrast === "none" ? "" : contrast });
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
  }

  /** The frame or slice that is chosen. */
  get frame() {
    return this.frameOf(this.settings);
  }

  /** The frame or slice of some settings. Without a choice, the server takes the middle of a volume, else the first. */
  frameOf(settings) {
    return settings.frame ?? (this.kind === "volume" ? Math.floor(this.frames / 2) : 0);
  }

  /** Its name, and which frame or slice is shown. */
  get caption() {
    return this.frames > 1 ? `${this.name}, ${this.drawn + 1} of ${this.frames}` : this.name;
  }

  /** A name for its PNG file, of characters that browsers and file systems keep. */
  get pngName() {
    const name = this.name.replace(/(\.nii)?\.[^.]*$/i, "").replace(/[^\p{L}\p{N}_ -]/gu, "_");
    return `${name}${this.frames > 1 ? `-${this.drawn}` : ""}.png`;
  }
}

/** All pictures. Events: "list" (added, removed or selected), "shown" (a picture or its error has come), "changed". */
export class Album extends EventTarget {
  pictures = [];
  current = null;
  mostBytes = Infinity;
  #queue = queued(RENDERS_AT_ONCE, () => this.current);

  /**
   * Add files, and select the first of them.
   * @returns {Promise<string>} what was left out, as sentences; "" if nothing was.
   */
  async add(files) {
    const usable = files.filter((file) => file.size > 0 && file.size <= this.mostBytes);
    const added = usable.slice(0, MOST_PICTURES - this.pictures.length);
    const made = await Promise.all(added.map(async (file) => new Picture(file, await kindOf(file))));
    this.pictures.push(...made);
    if (made.length > 0) this.select(made[0]);
    made.forEach((picture) => this.#render(picture));
    return this.#leftOut(files, usable.length - added.length);
  }

  select(picture) {
    this.current = picture;
    this.#tell("list");
  }

  remove(picture) {
    const place = this.pictures.indexOf(picture);
    this.pictures.splice(place, 1);
    forget(picture);
    this.select(this.pictures[Math.min(place, this.pictures.length - 1)] ?? null);
  }

  clear() {
    this.pictures.splice(0).forEach(forget);
    this.select(null);
  }

  /** Ask again for the pictures that could not be had. */
  retry() {
    this.pictures.filter((picture) => picture.error).forEach((picture) => this.#render(picture));
  }

  /**
   * Read a picture in another way: other settings, or `standardized`, which only changes what is shown.
   *
   * Steps may come faster than pictures. The picture of an earlier step is therefore shown when it comes, and the
   * newest one is asked for then; after every other change, the earlier picture is not wanted any more.
   */
  change(picture, settings, standardized) {
    if (settings.axis !== picture.settings.axis) settings.frame = null; // another plane has another number of slices
    const isOther = JSON.stringify(settings) !== JSON.stringify(picture.settings);
    if (!isOther && standardized === picture.standardized) return;
    const isStep = picture.busy && withoutStep(picture) === withoutStep({ settings, standardized });
    Object.assign(picture, { settings, standardized, busy: true });
    this.#tell("busy", picture);
    if (isOther) this.#tell("changed", picture);
    if (!isStep) this.#render(picture);
  }

  /** Have a picture rendered as it is set, and again if it has made a step by the time the answer comes. */
  async #render(picture) {
    picture.request?.abort();
    const { signal } = (picture.request = new AbortController());
    picture.busy = true;
    let asked = picture.settings;
    let come;
    try {
      come = await this.#queue(picture, () => {
        signal.throwIfAborted();
        asked = picture.settings; // a step may have been made while the task waited
        return rendered(picture, signal);
      });
    } catch (error) {
      come = { png: null, frames: picture.frames, error: error.message };
    }
    if (signal.aborted) return;
    this.#show(picture, asked, come);
    if (picture.busy) this.#render(picture);
  }

  #show(picture, asked, { png, frames, error }) {
    URL.revokeObjectURL(picture.url);
    const url = png ? URL.createObjectURL(png) : "";
    Object.assign(picture, { png, url, frames, error, busy: asked !== picture.settings });
    picture.drawn = picture.frameOf(asked);
    this.#tell("shown", picture);
  }

  #leftOut(files, tooMany) {
    const empty = files.filter((file) => file.size === 0).length;
    const large = files.filter((file) => file.size > this.mostBytes).length;
    const mib = Number((this.mostBytes / 2 ** 20).toPrecision(2));
    return [
      empty && `Empty files were left out: ${empty}.`,
      large && `Files larger than the server's limit of ${mib} MiB were left out: ${large}.`,
      tooMany > 0 && `This page holds ${MOST_PICTURES} pictures; ${tooMany} more were left out.`,
    ].filter(Boolean).join(" ");
  }

  #tell(name, picture = this.current) {
    this.dispatchEvent(new CustomEvent(name, { detail: picture }));
  }
}

/** What is set, without what is changed step by step: the frame, and the numbers of a free window. */
function withoutStep({ settings: { frame, window, ...others }, standardized }) {
  return JSON.stringify([others, window.includes(",") ? "free" : window, standardized]);
}

async function rendered(picture, signal) {
  const query = new URLSearchParams({ ...picture.params, ...(picture.standardized ? { standardized: "true" } : {}) });
  const headers = { "content-type": "application/octet-stream" };
  const answer = await ask(`render?${query}`, { method: "POST", body: picture.file, headers, signal });
  const frames = Number(answer.headers.get("x-frames"));
  if (frames === 0) throw foreign();
  return { png: await answer.blob(), frames, error: "" };
}

/** Stop what is on its way for a removed picture, and free its memory. */
function forget(picture) {
  picture.request?.abort();
  picture.question?.abort();
  URL.revokeObjectURL(picture.url);
}
