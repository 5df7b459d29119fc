// The workloads in DBOS, workflows and their caller in one process. usage: node dbos.mjs DATABASE_URL
import { DBOS } from "@dbos-inc/dbos-sdk";
import { serve } from "./commands.mjs";

async function chain(nodes) {
  let value = 0;
  for (let i = 1; i <= nodes; i++) value = await DBOS.runStep(async () => value + 1, { name: `n${i}` });
  return value;
}

async function fan(nodes) {
  const first = await DBOS.runStep(async () => 1, { name: "first" });
  const leaves = [];
  for (let i = 1; i <= nodes; i++) leaves.push(DBOS.runStep(async () => first + i, { name: `n${i}` }));
  const values = await Promise.all(leaves);
  return DBOS.runStep(async () => values.reduce((sum, value) => sum + value, 0), { name: "join" });
}

const workflows = {
  chain: DBOS.registerWorkflow(chain, { name: "chain" }),
  fan: DBOS.registerWorkflow(fan, { name: "fan" }),
};

DBOS.setConfig({ name: "bench", systemDatabaseUrl: process.argv[2], logLevel: "error", applicationVersion: "1",
  runAdminServer: false });
await DBOS.launch();
await serve(async (kind, nodes) => (await DBOS.startWorkflow(workflows[kind])(nodes)).getResult());
await DBOS.shutdown();
process.exit(0);
