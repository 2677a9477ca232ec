/** The visitor's pictures: their files, how each is to be read, and which one is shown. */

import { debounced, queued } from "./elements.js";
import { kindOf } from "./files.js";
import { ask } from "./server.js";

export const MOST_PICTURES = 200;
const RENDERS_AT_ONCE = 2;
const UNTOUCHED = { frame: null, axis: "axial", window: "", contrast: "none" };

/**
 * One picture of a file.
 *
 * frames: number of frames or slices; 1 until the first picture has come. url: the picture as PNG, for <img>.
 * png: the same as a Blob. error: why there is none. busy: whether a picture is on its way.
 */
class Picture {
  constructor(file, kind) {
    Object.assign(this, { file, kind, name: file.name, settings: { ...UNTOUCHED }, frames: 1, url: "", png: null });
    Object.assign(this, { error: "", busy: true, standardized: false });
  }

  /** The parameters of its requests that differ from the server's defaults, by their names in the API. */
  get params() {
    const { frame, axis, window, contrast } = this.settings;
    const all = { frame: frame === null ? "" : String(frame), axis: axis === "axial" ? "" : axis };
    Object.assign(all, { dicom_window: window, contrast: contrast === "none" ? "" : contrast });
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
  }

  /** The frame or slice that is shown. Without a choice, the server takes the middle of a volume, else the first. */
  get frame() {
    return this.settings.frame ?? (this.kind === "volume" ? Math.floor(this.frames / 2) : 0);
  }

  /** A name for its PNG file, of characters that browsers and file systems keep. */
  get pngName() {
    const name = this.name.replace(/(\.nii)?\.[^.]*$/i, "").replace(/[^\p{L}\p{N}_ -]/gu, "_");
    return `${name}${this.frames > 1 ? `-${this.frame}` : ""}.png`;
  }
}

/** All pictures. Events: "list" (added, removed or selected), "shown" (a picture or its error has come), "changed". */
export class Album extends EventTarget {
  pictures = [];
  current = null;
  mostBytes = Infinity;
  #queue = queued(RENDERS_AT_ONCE);
  #soon = debounced((picture) => this.#render(picture), 80);

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
    picture.request?.abort();
    picture.question?.abort();
    URL.revokeObjectURL(picture.url);
    this.select(this.pictures[Math.min(place, this.pictures.length - 1)] ?? null);
  }

  /** Ask again for the pictures that could not be had. */
  retry() {
    this.pictures.filter((picture) => picture.error).forEach((picture) => this.#render(picture));
  }

  clear() {
    while (this.pictures.length > 0) this.remove(this.pictures[0]);
  }

  /** Read a picture in another way: other settings, or `standardized`, which only changes what is shown. */
  change(picture, settings, standardized) {
    if (settings.axis !== picture.settings.axis) settings.frame = null; // another plane has another number of slices
    const isOther = JSON.stringify(settings) !== JSON.stringify(picture.settings);
    if (!isOther && standardized === picture.standardized) return;
    Object.assign(picture, { settings, standardized, busy: true });
    this.#tell("busy", picture);
    if (isOther) this.#tell("changed", picture);
    this.#soon(picture);
  }

  async #render(picture) {
    picture.request?.abort();
    const request = (picture.request = new AbortController());
    picture.busy = true;
    const query = new URLSearchParams({ ...picture.params, ...(picture.standardized ? { standardized: "true" } : {}) });
    const options = { method: "POST", body: picture.file, signal: request.signal };
    options.headers = { "content-type": "application/octet-stream" };
    try {
      const [png, frames] = await this.#queue(async () => {
        const answer = await ask(`render?${query}`, options);
        return [await answer.blob(), Number(answer.headers.get("x-frames"))];
      });
      this.#show(picture, png, frames, "");
    } catch (error) {
      if (error.name !== "AbortError") this.#show(picture, null, picture.frames, error.message);
    }
  }

  #show(picture, png, frames, error) {
    URL.revokeObjectURL(picture.url);
    Object.assign(picture, { png, frames, error, busy: false, url: png ? URL.createObjectURL(png) : "" });
    if (this.pictures.includes(picture)) this.#tell("shown", picture);
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
