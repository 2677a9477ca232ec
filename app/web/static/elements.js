/** Elements of the page, made without markup in strings: the page's policy for Trusted Types allows none. */

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

/** A number as the page writes it. */
export const shown = (value) => value.toFixed(2).replace("-", "−");

/** A function that calls another one once it has not been called for some milliseconds. */
export function debounced(call, milliseconds) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), milliseconds);
  };
}

/** A function that runs tasks, at most `most` at once, the others in their order. */
export function queued(most) {
  const waiting = [];
  let running = 0;
  const next = async () => {
    if (running >= most || waiting.length === 0) return;
    running += 1;
    const { task, resolve, reject } = waiting.shift();
    try {
      resolve(await task());
    } catch (error) {
      reject(error);
    } finally {
      running -= 1;
      next();
    }
  };
  return (task) => new Promise((resolve, reject) => {
    waiting.push({ task, resolve, reject });
    next();
  });
}

/** Offer a file to save. The link keeps the file until it offers another one. */
export function offer(link, name, blob) {
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(blob);
  link.download = name;
}

/** Copy a text. Browsers give `navigator.clipboard` only to pages of https and of this machine. */
export async function copy(text, source) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  getSelection().selectAllChildren(source);
  document.execCommand("copy");
}
