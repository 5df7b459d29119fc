// The workloads in Restate: the process that runs the handlers. usage: node restate_worker.mjs PORT
// It ends with its standard input.
import http2 from "node:http2";
import * as restate from "@restatedev/restate-sdk";

async function chain(ctx, nodes) {
  let value = 0;
  for (let i = 1; i <= nodes; i++) value = await ctx.run(`n${i}`, () => value + 1);
  return value;
}

// Each node is a durable call of its own, the faster of the two forms of a fan: the other is a ctx.run for each.
async function fan(ctx, nodes) {
  const first = await ctx.run("first", () => 1);
  const client = ctx.serviceClient({ name: "bench" }), leaves = [];
  for (let i = 1; i <= nodes; i++) leaves.push(client.leaf({ first, i }));
  const values = await restate.RestatePromise.all(leaves);
  return ctx.run("join", () => values.reduce((sum, value) => sum + value, 0));
}

const leaf = async (_ctx, { first, i }) => first + i;

const service = restate.service({ name: "bench", handlers: { chain, fan, leaf } });
http2.createServer(restate.createEndpointHandler({ services: [service] })).listen(Number(process.argv[2]), "127.0.0.1");
process.stdin.on("end", () => process.exit(0)).resume();
