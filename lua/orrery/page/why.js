// why.js: why a node is where it is, in words, and what can be done about it as the name of an action.
import { duration, time } from "./words.js";

function until(said, now) {
  if (said.left) return `${duration(said.left)} after its paused run goes on`;
  if (said.held_back || !said.due) return null;
  return said.due > now ? `${time(said.due)}, in ${duration(said.due - now)}` : `${time(said.due)}, which is over`;
}

// What an approval asks, and of whom.
function approval(said) {
  const { message, by } = said.approval;
  return `approval${message ? ` (${message})` : ""}${by?.length ? ` by ${by.join(" or ")}` : ""}`;
}

const WAITS_FOR = {
  dependency: (said) => `waits for ${said.by ?? "what it depends on"}${said.count > 1 ? ` and ${said.count - 1} more` : ""}`,
  run_limit: (said) => `waits for a place: the run's concurrency is ${said.limit}, and so many run`,
  pool: (said) => said.limit ? `waits for pool '${said.name}', of which ${said.count} of ${said.limit} places are taken`
    : `waits for pool '${said.name}', which gives no places`,
  rate: (said, now) => `waits for the rate of pool '${said.name}', until ${until(said, now) ?? "its next token"}`,
  breaker: (said, now) => `waits for breaker '${said.name}', open until ${until(said, now) ?? "its cooldown is over"}`,
  backoff: (said, now) => `is tried again: the next attempt is due ${until(said, now) ?? "soon"}`,
  timer: (said, now) => `sleeps until ${until(said, now) ?? "it is woken"}`,
  signal: (said, now) => `waits for ${said.approval ? approval(said) : said.name ? `signal '${said.name}'`
    : said.child ? `its child run of ${said.child}` : "a signal"}${until(said, now) ? `, until ${until(said, now)}` : ""}`,
  parallel: (said) => `waits for a place among the items: ${said.count ?? 0} of ${said.limit ?? 0} are under way`,
  lock: (said) => `waits because its run waits for the lock '${said.name}'${said.by_run ? `, which run ${said.by_run} has` : ""}`,
  priority: (said) => said.count ? `is ready; ${said.count} before it` : "is ready and starts next",
  paused: () => "waits because its run is paused",
  compensation: () => "will not start: the run is being undone",
  stopped: () => "will not start: the run is ending",
  items: (said) => `has ${said.count ?? 0} of ${said.limit ?? 0} items done`,
  worker: (said) => `waits for a worker: ${said.count ?? 0} of ${said.limit ?? 0} are busy`,
  running: (said, now) => `is running${said.count > 1 ? `, attempt ${said.count}` : ""}${said.since ? `, for ${duration(now - said.since)}` : ""}`,
};

const HELD_BACK = { ended: "did not get so far", workflow_paused: "waits because its workflow is paused",
  run_paused: "waits because its run is paused" };

const SKIPPED = {
  when: () => "its condition was false", upstream_failed: (by) => `because ${by ?? "a node before it"} failed`,
  upstream: (by) => `with ${by ?? "the nodes before it"}`,
};

function settled(said) {
  const first = String(said.error?.message ?? said.error?.code ?? "").split("\n")[0];
  if (said.state === "failed") return `failed${said.attempts > 1 ? ` after ${said.attempts} attempts` : ""}: ${first}`;
  if (said.state === "skipped") return `was skipped: ${SKIPPED[said.skip]?.(said.by) ?? String(said.skip ?? "").replaceAll("_", " ")}`;
  if (said.state === "completed" && said.failed_items) {
    return `completed without ${said.failed_items.failed} of ${said.failed_items.items} items, which failed`;
  }
  return `is ${String(said.state).replaceAll("_", " ")}`;
}

// A sentence without the node's name. said: as `/runs/{id}/why` gives it.
export function why_words(said, now) {
  const text = said.held ? HELD_BACK[said.held] : WAITS_FOR[said.kind]?.(said, now) ?? settled(said);
  if (said.left === true) return `${text}; one was left for it and is taken when the run goes on`;
  return text + (said.abandoned ? "; nobody runs its run now" : "");
}
