/** Requests to the server that the page came from. The API key stays in this module's memory. */

/** An answer that is not 2xx, or no answer; the message is one sentence for the page. */
export class ServerError extends Error {
  constructor(message, status = 0, retryAfter = 1) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

let key = "";
/** "refused": the server wants a key, or another one. "lost": it does not answer. Both have the error as detail. */
export const events = new EventTarget();
export const hasKey = () => key !== "";
export function useKey(given) {
  key = given;
}

/** The absolute address of a route, also behind a path prefix of a proxy. */
export const address = (route) => new URL(route, document.baseURI).href;

/**
 * Send a request.
 * @param {string} route path without its first slash.
 * @param {RequestInit} options of fetch.
 * @returns {Promise<Response>} an answer with a status of 2xx.
 * @throws {ServerError} every other answer, and no answer. `AbortError` stays as it is.
 */
export async function ask(route, options = {}) {
  const headers = new Headers(options.headers);
  if (key) headers.set("authorization", `Bearer ${key}`);
  let answer;
  try {
    answer = await fetch(address(route), { ...options, headers, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const lost = new ServerError("The server does not answer; check that it is running and reachable.");
    events.dispatchEvent(new CustomEvent("lost", { detail: lost }));
    throw lost;
  }
  if (answer.ok) return answer;
  const error = await errorOf(answer);
  if (error.status === 401 || error.status === 403) events.dispatchEvent(new CustomEvent("refused", { detail: error }));
  throw error;
}

/** Send a request for JSON, as `ask`. */
export async function askJson(route, options) {
  const answer = await ask(route, options);
  return answer.json().catch((error) => { throw error instanceof SyntaxError ? foreign() : error; });
}

/** The error of an answer that a proxy has given instead of the server. */
export function foreign() {
  return new ServerError("The answer is not from this server; a proxy may want you to sign in.", 0, 5);
}

/** The page sends one picture per request, so the place in the request that a refusal names says nothing here. */
const withoutRow = (message) => message.replace(/^Row 0(, column \w+)?: (.)/, (...found) => found[2].toUpperCase());

async function errorOf(answer) {
  const body = await answer.json().catch(() => ({}));
  const message = answer.status === 401 ? "This server needs an API key; enter it at the top of the page."
    : withoutRow(body.message ?? `The server answered with status ${answer.status}.`);
  return new ServerError(message, answer.status, Number(answer.headers.get("retry-after")) || 1);
}
