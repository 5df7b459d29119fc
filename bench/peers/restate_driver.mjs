// Calls the workloads in Restate through its ingress. usage: node restate_driver.mjs INGRESS_PORT ADMIN_PORT WORKER_PORT
// First it waits for the server and tells it where the handlers are.
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "./commands.mjs";

const [ingress, admin, worker] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });

function post(port, path, value) {
  const body = JSON.stringify(value);
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const request = http.request({ host: "127.0.0.1", port, path, method: "POST", headers, agent }, (response) => {
      let text = "";
      response.on("data", (part) => (text += part)).on("error", reject).on("end", () => {
        if (response.statusCode >= 300) return reject(new Error(`${path}: ${response.statusCode} ${text}`));
        resolve(JSON.parse(text));
      });
    });
    request.on("error", reject).end(body);
  });
}

async function patiently(act) {
  for (let left = 600; ; left--) {
    try {
      return await act();
    } catch (error) {
      if (left === 0) throw error;
      await sleep(50);
    }
  }
}

await patiently(() => post(admin, "/deployments", { uri: `http://127.0.0.1:${worker}`, force: true }));
await patiently(() => post(ingress, "/bench/chain", 1));
await serve((kind, nodes) => post(ingress, `/bench/${kind}`, nodes));
process.exit(0);
