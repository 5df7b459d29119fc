// published.js: what the handlers of a run let be read of it.
import { line } from "./dom.js";
import { table_of } from "./nodes.js";
import { brief } from "./value.js";
import { clock } from "./words.js";

export function published_table(list) {
  return table_of("Published", ["Name", "Value", "Node", "At"], list.map((one) => [
    line(one.name), brief(one.value), line(one.node ?? ""), one.time ? clock(one.time) : ""]));
}
