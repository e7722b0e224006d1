// Runs the program that is tested.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = resolve(process.env.TICKEY_BIN ?? fileURLToPath(new URL("../../target/debug/tickey", import.meta.url)));
const START_MS = 30_000;
const STOP_MS = 40_000;
const LISTEN = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--drain-delay-seconds", "0"];
const settings = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TICKEY_")));

/** The demo, with data of its own. */
export async function start({ options = [] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "tickey-browser-"));
  const server = spawn(PROGRAM, ["demo", "--data-dir", folder, ...LISTEN, ...options], {
    cwd: folder, env: settings, stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  const ended = new Promise((done) => {
    server.on("error", (error) => done(`could not be started: ${error.message}`));
    server.on("close", (status, signal) => done(`ended with ${signal ?? status}`));
  });
  const listening = new Promise((done) => {
    server.stderr.setEncoding("utf8").on("data", (text) => {
      log += text;
      const address = log.split("\n").map(addressIn).find(Boolean);
      if (address) done(address);
    });
  });
  const clear = () => {
    server.kill("SIGKILL");
    process.off("exit", clear);
    rmSync(folder, { recursive: true, force: true });
  };
  process.on("exit", clear);
  const address = await within(START_MS, Promise.race([
    listening,
    ended.then((how) => { throw new Error(`${PROGRAM} ${how}\n${log}`); }),
  ])).catch((error) => { clear(); throw error; });

  return {
    address,
    origin: `http://${address}`,
    log: () => log,
    /** Runs one of the tools on the demo's store. */
    tool(...words) {
      const done = spawnSync(PROGRAM, [...words, "--store", `sqlite:${join(folder, "tickets.db")}`], { env: settings });
      if (done.status !== 0) throw new Error(`tickey ${words[0]}: ${done.error ?? done.stderr}`);
    },
    async stop() {
      server.kill("SIGTERM");
      const how = await within(STOP_MS, ended).finally(clear);
      if (how !== "ended with 0") throw new Error(`${PROGRAM} ${how}\n${log}`);
    },
  };
}

function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${PROGRAM} took longer than ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function addressIn(line) {
  try {
    const { fields } = JSON.parse(line);
    return fields.message === "listening" ? fields.address : null;
  } catch {
    return null; // Half a line, so far.
  }
}

/** Stands before a server and writes down every byte that browsers send to it. */
export async function tap(address) {
  const [host, port] = address.split(":");
  const sent = [];
  const listener = createServer((browser) => {
    const server = connect(Number(port), host);
    browser.on("data", (bytes) => sent.push(bytes)).pipe(server).pipe(browser);
    browser.on("error", () => server.destroy());
    server.on("error", () => browser.destroy());
  });
  await new Promise((done) => { listener.listen(0, "127.0.0.1", done); });
  return {
    origin: `http://127.0.0.1:${listener.address().port}`,
    sent: () => Buffer.concat(sent).toString("latin1"),
    close: () => listener.close(),
  };
}
