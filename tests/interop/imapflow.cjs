// Does what test_imapflow.py wants, a line of JSON for each step and one for its result: {"call": method, "args": [...]} on the
// client, {"event": name} waits for one, {"start": method} does not wait for its end, {"sent": true} tells the commands so far.
const { ImapFlow } = require(process.env.IMAPFLOW);
const readline = require("node:readline");

const EVENTS = ["exists", "expunge", "flags", "close"];

const plain = (value) => {
  if (typeof value === "bigint") return Number(value);
  if (Buffer.isBuffer(value)) return value.toString("utf8");
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, each]) => [key, plain(each)]));
  if (value instanceof Set) return [...value].map(plain).sort();
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
  }
  return value;
};

const main = async () => {
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    return done ? undefined : JSON.parse(value);
  };
  const sent = [];
  const log = (entry) => entry.src === "c" && sent.push(entry.msg);
  const logger = { trace: log, debug: log, info: log, warn: log, error: log };
  const client = new ImapFlow({ ...(await next()), logger });
  const heard = Object.fromEntries(EVENTS.map((name) => [name, []]));
  const waiting = {};
  for (const name of EVENTS) {
    client.on(name, (event) => {
      heard[name].push(event ?? null);
      waiting[name]?.();
    });
  }
  client.on("error", () => {}); // the call that fails tells it

  const event = async (name) => {
    while (!heard[name].length) await new Promise((resolve) => (waiting[name] = resolve));
    return heard[name].shift();
  };
  const run = async (step) => {
    if (step.event) return event(step.event);
    if (step.sent) return sent;
    if (step.start) {
      client[step.start](...(step.args ?? [])).catch(() => {});
      return null;
    }
    const args = step.args ?? [];
    if (step.content) args[1] = Buffer.from(step.content, "utf8");
    return client[step.call](...args);
  };
  for (let step = await next(); step; step = await next()) {
    let result;
    try {
      result = { result: plain((await run(step)) ?? null) };
    } catch (error) {
      result = { error: error.responseText ?? error.message, code: error.serverResponseCode ?? error.code ?? null };
    }
    console.log(JSON.stringify(result));
  }
  client.close();
};

main().then(() => process.exit(0));
