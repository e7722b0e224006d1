// A server that redeems download keys, as a first version in Node would be: node:http, the official client of
// Elasticsearch with its usual settings, a GET and a conditional PUT for each redemption, and a worker for each processor.

import cluster from "node:cluster";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

import { Signer } from "./answer.js";
import { ticketId } from "./key.js";
import { Store, Unknown, Used } from "./store.js";

/** The largest body that is read, in bytes. */
const MAX_BODY = 4096;

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    "ca-file": { type: "string" },
    username: { type: "string" },
    index: { type: "string", default: "tickets" },
    album: { type: "string" },
    workers: { type: "string", default: String(availableParallelism()) },
  },
});

if (cluster.isPrimary) {
  startWorkers(Number(options.workers));
} else {
  serve();
}

/** Prints the address once all of them listen. */
function startWorkers(count) {
  let listening = 0;
  cluster.on("listening", (_, { address, port }) => {
    listening += 1;
    if (listening === count) console.log(`${address}:${port}`);
  });
  cluster.on("exit", () => process.exit(1));
  for (let started = 0; started < count; started += 1) cluster.fork();
}

function serve() {
  const store = new Store({
    url: options.url,
    caFile: options["ca-file"],
    username: options.username,
    password: process.env.ELASTICSEARCH_PASSWORD,
    index: options.index,
  });
  const signer = new Signer(options.album, Buffer.from(process.env.LINK_SECRET, "hex"));
  const server = createServer(async (request, response) => {
    const begun = performance.now();
    const { status, body } = await redeem(store, signer, request);
    const text = JSON.stringify(body);
    const headers = {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(text),
      "Cache-Control": "no-store",
    };
    if (status === 201) headers.Location = body.redemption.receipt_url;
    response.writeHead(status, headers).end(text);
    log("info", { method: request.method, path: request.url, status, elapsed: performance.now() - begun });
  });
  server.listen(0, "127.0.0.1");
}

async function redeem(store, signer, request) {
  if (request.method !== "POST" || request.url !== "/redemptions") return refuse(404, "no such page");
  const id = ticketId(await typedKey(request));
  if (id === undefined) return refuse(422, "not a key");
  const redemption = randomUUID();
  const now = Math.floor(Date.now() / 1000);
  try {
    await store.redeem(id.toString("base64url"), redemption, now);
  } catch (error) {
    if (error instanceof Unknown) return refuse(404, error.message);
    if (error instanceof Used) return refuse(409, error.message);
    log("error", { message: "not redeemed", error: String(error) });
    return refuse(503, "the store does not answer");
  }
  return { status: 201, body: signer.answer(request.headers.host, id, redemption, now) };
}

/** The key of a JSON body; undefined when there is none. */
async function typedKey(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > MAX_BODY) return undefined;
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts)).key;
  } catch {
    return undefined;
  }
}

const refuse = (status, error) => ({ status, body: { error } });

function log(level, fields) {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, ...fields })}\n`);
}
