/** The picture as the model sees it, with its controls, and the filmstrip of all pictures. */

import { byId, element, write } from "./elements.js";

const WHEEL_STEP = 100; // pixels of the wheel per slice, as of one notch
const LINES_OF_NOTCH = 3; // where a browser counts the wheel in lines
const STEPS_OF_KEYS = {
  ArrowLeft: -1, ArrowUp: -1, PageUp: -10, Home: -Infinity, ArrowRight: 1, ArrowDown: 1, PageDown: 10, End: Infinity,
};

/** Show the pictures of an album, and pass the visitor's choices to it. */
export function showAlbum(album) {
  album.addEventListener("list", () => { drawFilm(album); drawPicture(album.current); });
  for (const name of ["shown", "busy"]) {
    album.addEventListener(name, ({ detail: picture }) => {
      if (name === "shown") drawFilmOf(album, picture);
      if (picture === album.current) drawPicture(picture);
    });
  }
  for (const name of ["input", "change"]) { // drivers of browsers send only the second for a list
    byId("controls").addEventListener(name, () => {
      album.change(album.current, chosen(album.current), byId("standardized").checked);
    });
  }
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("for-all").addEventListener("click", () => useForAll(album));
  byId("remove").addEventListener("click", () => { album.remove(album.current); keepFocus(album); });
  byId("clear").addEventListener("click", () => { album.clear(); keepFocus(album); });
  listenForTurns(album);
}

/** Give every picture the window and the contrast of the shown one. */
function useForAll(album) {
  const { window, contrast } = album.current.settings;
  for (const picture of album.pictures) {
    const own = picture.kind === "raster" ? { contrast } : { window, contrast };
    album.change(picture, { ...picture.settings, ...own }, picture.standardized);
  }
}

/** What was clicked on is gone with the last picture. */
function keepFocus(album) {
  if (album.current === null) byId("files").focus();
}

/** Turn frames by the keys and by the wheel, where neither means something else to the browser. */
function listenForTurns(album) {
  let turned = 0; // pixels of the wheel since the last slice; touchpads send a few at a time
  byId("frame").addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.deltaY === 0) return;
    const isLines = event.deltaMode === WheelEvent.DOM_DELTA_LINE;
    const pixels = isLines ? event.deltaY * (WHEEL_STEP / LINES_OF_NOTCH) : event.deltaY;
    turned = turned * pixels > 0 ? turned + pixels : pixels;
    const steps = Math.trunc(turned / WHEEL_STEP);
    if (steps !== 0) turned = 0;
    turn(album, event, steps);
  }, { passive: false });
  byId("frame").addEventListener("keydown", (event) => {
    const isPlain = !event.ctrlKey && !event.altKey && !event.metaKey;
    if (isPlain && event.key in STEPS_OF_KEYS) turn(album, event, STEPS_OF_KEYS[event.key]);
  });
}

/** The settings that the controls show. A free window takes effect once both of its numbers are right. */
function chosen(picture) {
  const slider = byId("frame-number");
  const isMoved = Number(slider.value) !== picture.frame || picture.settings.frame !== null;
  return {
    frame: isMoved && picture.frames > 1 ? Number(slider.value) : null,
    axis: byId("axis").value,
    window: byId("window").value === "free" ? freeWindow(picture) : byId("window").value,
    contrast: byId("contrast").value,
  };
}

function freeWindow(picture) {
  const before = picture.settings.window;
  if (!before.includes(",")) { // free was chosen just now: begin with the window that was shown
    const preset = byId("window").querySelector(`[value="${before}"]`).dataset.window ?? "40,400";
    [byId("center").value, byId("width").value] = preset.split(",");
    return preset;
  }
  const [center, width] = [byId("center").value, byId("width").value];
  const isRight = center !== "" && Number(width) > 0;
  write("window-error", isRight ? "" : "The centre must be a number, and the width greater than 0.");
  return isRight ? `${center},${width}` : before;
}

function turn(album, event, steps) {
  const picture = album.current;
  if (picture.frames < 2) return;
  event.preventDefault();
  const frame = Math.min(Math.max(picture.frame + steps, 0), picture.frames - 1);
  if (frame !== picture.frame) album.change(picture, { ...picture.settings, frame }, picture.standardized);
}

function drawPicture(picture) {
  byId("empty").hidden = picture !== null;
  byId("viewer").hidden = picture === null;
  if (picture === null) return;
  byId("frame").setAttribute("aria-busy", picture.busy);
  write("render-error", picture.busy ? "" : picture.error);
  drawImage(picture);
  write("caption", picture.caption);
  Object.assign(byId("save"), { hidden: !picture.url, href: picture.url, download: picture.pngName });
  drawControls(picture);
}

function drawImage(picture) {
  const image = byId("shown");
  if (image.src === picture.url) return;
  if (picture.url) image.src = picture.url;
  else image.removeAttribute("src");
  image.alt = picture.url ? `${picture.caption}, as the model sees it` : "";
  const animations = byId("frame").getAnimations({ subtree: true });
  for (const animation of animations) animation.currentTime = 0; // a new picture is not dimmed at once
}

function drawControls(picture) {
  const { axis, window, contrast } = picture.settings;
  const slider = byId("frame-number");
  slider.max = picture.frames - 1;
  slider.value = picture.frame;
  slider.setAttribute("aria-valuetext", `${picture.frame + 1} of ${picture.frames}`);
  write("frame-text", `${picture.frame + 1} of ${picture.frames}`);
  byId("frame-control").hidden = picture.frames < 2;
  byId("frame").tabIndex = picture.frames < 2 ? -1 : 0;
  byId("axis-control").hidden = picture.kind !== "volume";
  byId("window-control").hidden = picture.kind === "raster";
  const isFree = window.includes(",");
  byId("window").value = isFree ? "free" : window;
  const isTyping = document.activeElement?.type === "number";
  if (isFree && !isTyping) [byId("center").value, byId("width").value] = window.split(",");
  if (!isTyping) write("window-error", "");
  for (const id of ["center-control", "width-control"]) byId(id).hidden = !isFree;
  byId("axis").value = axis;
  byId("contrast").value = contrast;
  byId("standardized").checked = picture.standardized;
}

function drawFilm(album) {
  const focused = document.activeElement?.closest("#film button") !== null;
  byId("film").replaceChildren(...album.pictures.map((picture) => filmButton(album, picture)));
  byId("clear").hidden = byId("for-all").hidden = album.pictures.length < 2;
  if (focused) byId("film").querySelector("[aria-current='true']")?.focus();
}

function drawFilmOf(album, picture) {
  const before = byId("film").children[album.pictures.indexOf(picture)];
  const focused = before.contains(document.activeElement);
  const drawn = filmButton(album, picture);
  before.replaceWith(drawn);
  if (focused) drawn.firstChild.focus();
}

function filmButton(album, picture) {
  const inside = picture.url
    ? element("img", { src: picture.url, alt: picture.name })
    : element("span", { className: "failed" }, picture.error ? `${picture.name}: not readable` : "…");
  const isCurrent = picture === album.current;
  const onclick = () => album.select(picture);
  const aria = { current: String(isCurrent), ...(picture.url ? {} : { label: picture.name }) };
  return element("li", {}, element("button", { type: "button", title: picture.name, onclick, aria }, inside));
}
