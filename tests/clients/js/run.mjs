// Runs the scenario with the AWS SDK for JavaScript v3: its default handler speaks HTTP/2, by prior knowledge where the
// endpoint is http, and begins a session for each request; "http1" takes the other one. One JSON line a step.
import { readFileSync } from "node:fs";
import { Kinesis } from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { Scenario, base64 } from "./scenario.mjs";

const [endpoint, name, wire] = process.argv.slice(2);
const client = new Kinesis({
  endpoint,
  region: "us-east-1",
  maxAttempts: 1,
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  ...(wire === "http1" ? { requestHandler: new NodeHttpHandler() } : {}),
});

// Bytes and times have types of their own.
const typed = (key, value) => {
  if (key === "Data") return Buffer.from(value, "base64");
  if (key === "Timestamp") return new Date(value);
  if (Array.isArray(value)) return value.map((each) => typed("", each));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, typed(k, v)]));
  return value;
};

const steps = JSON.parse(readFileSync(new URL("../scenario.json", import.meta.url)));
const scenario = new Scenario(name);
for (const step of steps) {
  await scenario.run(step, async (input) => {
    const method = step.op[0].toLowerCase() + step.op.slice(1);
    const output = await client[method](typed("", input));
    if (!step.events) return base64(output);
    for await (const event of output.EventStream) if (event.SubscribeToShardEvent) return base64(event.SubscribeToShardEvent);
    throw new Error("no event");
  });
}
client.destroy();
process.exit(scenario.failed ? 1 : 0);
