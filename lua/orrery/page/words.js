// words.js: times, durations and counts as people read them.

const NUMBERS = new Intl.NumberFormat("en");

export function count(n) {
  return NUMBERS.format(n);
}

export function plural(n, noun, nouns) {
  return `${count(n)} ${n === 1 ? noun : nouns ?? noun + "s"}`;
}

// Seconds: "12 ms", "3.4 s", "2m05s", "1h02m". What belongs together is not broken.
export function duration(seconds) {
  if (!(seconds > 0)) return "0\u00a0ms";
  if (seconds < 0.0009995) return `${Math.round(seconds * 1e6)}\u00a0µs`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1e3)}\u00a0ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)}\u00a0s`;
  const whole = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h${two(Math.floor(whole % 3600 / 60))}m`;
  return `${Math.floor(whole / 86400)}d${two(Math.floor(whole % 86400 / 3600))}h`;
}

// Seconds since the epoch: "2026-03-01 09:30:00" in the reader's zone.
export function time(seconds) {
  if (seconds === undefined || seconds === null) return "";
  const at = new Date(seconds * 1000), two = (n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(seconds).slice(0, 8)}`;
}

// The time of day, with milliseconds.
export function clock(seconds) {
  if (seconds === undefined || seconds === null) return "";
  const at = new Date(seconds * 1000), pad = (n, digits) => String(n).padStart(digits, "0");
  return `${pad(at.getHours(), 2)}:${pad(at.getMinutes(), 2)}:${pad(at.getSeconds(), 2)}.${pad(at.getMilliseconds(), 3)}`;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

// A node, or one of its items.
export function task(node, item, name) {
  return item ? `${node}[${name ?? item}]` : node;
}
