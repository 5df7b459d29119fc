// api.js: asking the server. A problem (RFC 9457) becomes an error with its sentence and code.
import { parse } from "./value.js";

export class Problem extends Error {
  constructor(document, status) {
    super(document?.detail ?? document?.title ?? `the server answered ${status}`);
    this.code = document?.code, this.status = status, this.problems = document?.problems;
  }
}

// The query of a URL: lists are repeated, what is empty is left out.
export function query_of(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values ?? {})) {
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null && one !== "") query.append(name, one);
    }
  }
  const text = query.toString();
  return text && `?${text}`;
}

// The answer of a path below /api/v1; who is not logged in is taken to the login.
async function response_of(path, { method = "GET", body, query, signal } = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const response = await fetch(`/api/v1${path}${query_of(query)}`, { method, credentials: "same-origin", signal, ...sent });
  if (response.status !== 401) return response;
  location.assign("/login");
  return new Promise(() => {});
}

// Asks for a path below /api/v1. Raises a Problem.
export async function ask(path, options) {
  const response = await response_of(path, options);
  const text = await response.text();
  let value = null;
  try {
    value = text === "" ? null : parse(text);
  } catch {
    if (response.ok) throw new Problem({ detail: "the server's answer is no JSON" }, response.status);
  }
  if (!response.ok) throw new Problem(value, response.status);
  return value;
}

// Asks for an answer in lines of JSON, and gives each as it comes. Raises a Problem.
export async function* ask_lines(path, options) {
  const response = await response_of(path, options);
  if (!response.ok) throw new Problem(await response.json().catch(() => null), response.status);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "";;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const text of lines) yield parse(text);
  }
}

export function run_path(id, rest = "") {
  return `/runs/${encodeURIComponent(id)}${rest}`;
}

// All pages of a list, as far as `most`: name is what a page calls its rows.
export async function pages(path, name, query, most) {
  const rows = [];
  let cursor;
  do {
    const page = await ask(path, { query: { ...query, cursor } });
    rows.push(...page[name]);
    cursor = page.next;
  } while (cursor && rows.length < most);
  return rows;
}
