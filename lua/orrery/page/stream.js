// stream.js: what happens to runs, by one stream for all tabs of a browser. The tab that has the lock reads it and tells
// the others; when it is closed, the next one goes on behind what it has told last.

const CHANNEL = "orrery-events";
const AGAIN = 3000; // ms until a stream that the server has refused is asked for again

const listeners = new Set();
let last_seen = "", begun = false, channel = null;

function tell(message) {
  last_seen = message.id || last_seen;
  for (const listener of listeners) listener(message.event);
}

function read_stream() {
  const source = new EventSource(`/api/v1/events${last_seen && `?after=${encodeURIComponent(last_seen)}`}`);
  source.onmessage = ({ data, lastEventId }) => {
    const message = { id: lastEventId, event: JSON.parse(data) };
    tell(message);
    channel?.postMessage(message);
  };
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(read_stream, AGAIN);
  };
}

function begin() {
  begun = true;
  if (!navigator.locks || !window.BroadcastChannel) return read_stream();
  channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => tell(data);
  navigator.locks.request(CHANNEL, () => {
    read_stream();
    return new Promise(() => {}); // the lock is kept until the tab is closed
  });
}

// Calls a function with each event. Returns what ends that.
export function on_event(listener) {
  listeners.add(listener);
  if (!begun) begin();
  return () => listeners.delete(listener);
}

// A function that calls another once, so many milliseconds after it was called first.
export function later(fn, ms) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    setTimeout(() => {
      waits = false;
      fn();
    }, ms());
  };
}
