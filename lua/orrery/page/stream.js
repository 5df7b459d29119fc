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

function tell_all(message) {
  tell(message);
  channel?.postMessage(message);
}

// A stream that begins nowhere begins with what is new when it opens. What was read before that may be older, so it is to
// be read again: what happened in between, no event tells.
function read_stream() {
  const from = last_seen, source = new EventSource(`/api/v1/events${from && `?after=${encodeURIComponent(from)}`}`);
  let opened = from !== "";
  source.onopen = () => {
    if (!opened) tell_all({ id: "", event: null });
    opened = true;
  };
  source.onmessage = ({ data, lastEventId }) => tell_all({ id: lastEventId, event: JSON.parse(data) });
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

// Calls a function with each event, and with null where some may have been missed. Returns what ends that.
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
