// What the peers' programs have in common: they say "ready", then read "KIND RUNS NODES IN_FLIGHT" a line and answer with one
// line of JSON: {"seconds", "p99"?} or {"error"}. They end with their standard input.
import readline from "node:readline";

const since = (start) => (performance.now() - start) / 1e3;

// run(kind, nodes) resolves to the run's output once its end is durable; expected(kind, nodes) is what that must be.
async function together(run, expected, kind, runs, nodes, inFlight) {
  let left = runs;
  const take = async () => {
    while (left > 0) {
      left--;
      const got = await run(kind, nodes);
      if (got !== expected(kind, nodes)) throw new Error(`${kind} gave ${got}, expected ${expected(kind, nodes)}`);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, take));
  return { seconds: since(start) };
}

async function oneByOne(run, runs, nodes) {
  const times = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await run("chain", nodes);
    times.push(since(start));
  }
  times.sort((a, b) => a - b);
  return { seconds: times[runs >> 1], p99: times[Math.floor(runs * 0.99)] };
}

const expected = (kind, nodes) => (kind === "fan" ? nodes + (nodes * (nodes + 1)) / 2 : nodes);

export async function serve(run) {
  console.log("ready");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [kind, ...numbers] = line.trim().split(" ");
    const [runs, nodes, inFlight] = numbers.map(Number);
    try {
      const answer = kind === "alone" ? await oneByOne(run, runs, nodes)
        : await together(run, expected, kind, runs, nodes, inFlight);
      console.log(JSON.stringify(answer));
    } catch (error) {
      console.log(JSON.stringify({ error: String(error) }));
    }
  }
}
