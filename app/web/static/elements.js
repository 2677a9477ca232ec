/** Elements of the page, made without markup in strings: the page's policy for Trusted Types allows none. */

const SAVED_WITHIN_MS = 60_000; // browsers may ask the visitor for a folder

export const byId = (id) => document.getElementById(id);

/**
 * A new element.
 * @param {string} tag its name.
 * @param {Object} properties properties of the element; `data`, `aria` and `style` hold objects of their own.
 * @param {...(Node|string)} children what it contains.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { style = {}, aria = {}, data = {}, ...others } = properties;
  Object.assign(made, others);
  Object.assign(made.dataset, data);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  for (const [name, value] of Object.entries(style)) made.style.setProperty(name, value);
  made.append(...children);
  return made;
}

/** Write a text into an element, unless it has it already: screen readers would announce it again. */
export function write(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

/** A number as the page writes it. */
export const shown = (value) => value.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "−");

/** A score from 0 to 1 as the page writes it: one that is not quite 0 or 1 does not look as if it were. */
export function shownScore(score) {
  if (score < 0.005) return "<0.01";
  return score >= 0.995 && score < 1 ? ">0.99" : shown(score);
}

/** A function that calls another one once it has not been called for some milliseconds. */
export function debounced(call, milliseconds) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), milliseconds);
  };
}

/**
 * A function that runs tasks, at most `most` at once.
 * @param {number} most
 * @param {function(): any} first whose tasks go first, when a task may begin; the others keep their order.
 * @returns {function(any, function(): Promise): Promise} takes what a task is about, and the task.
 */
export function queued(most, first) {
  const waiting = [];
  let running = 0;
  const next = async () => {
    if (running >= most || waiting.length === 0) return;
    running += 1;
    const place = waiting.findIndex(({ subject }) => subject === first());
    const [{ task, resolve, reject }] = waiting.splice(Math.max(place, 0), 1);
    try {
      resolve(await task());
    } catch (error) {
      reject(error);
    } finally {
      running -= 1;
      next();
    }
  };
  return (subject, task) => new Promise((resolve, reject) => {
    waiting.push({ subject, task, resolve, reject });
    queueMicrotask(next); // when all tasks of the caller wait
  });
}

/** Save a file among the visitor's downloads. */
export function save(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), SAVED_WITHIN_MS);
}

/** Copy a text. Browsers give `navigator.clipboard` only to pages of https and of this machine. */
export async function copy(text, source) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  getSelection().selectAllChildren(source);
  document.execCommand("copy");
}
