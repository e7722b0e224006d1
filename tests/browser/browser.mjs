// A browser that watches itself: whatever a test is about, its pages must not break their own policy, write errors, ask
// other origins, or let a key into an address or the server's log.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { chromium } from "playwright-core";
import { ALL_KEYS, plain } from "./seed.mjs";
import { start } from "./server.mjs";

export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
export const DESKTOP = { viewport: { width: 1280, height: 800 } };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
after(() => browser.close());

const holdsKey = (text) => ALL_KEYS.some((key) => text.includes(key) || text.includes(plain(key)));

/** A fresh profile; `check` asserts that nothing improper has happened in it so far. */
export async function open(origin, options = {}) {
  const context = await browser.newContext({ ...DESKTOP, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(15_000);
  const requests = [];
  const errors = [];
  context.on("request", (request) => requests.push(request));
  context.on("console", (message) => {
    if (message.type() === "error") errors.push({ text: message.text(), url: message.location().url });
  });
  context.on("weberror", (error) => errors.push({ text: String(error.error()) }));
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error("policy", event.violatedDirective, event.blockedURI));
  });
  const page = await context.newPage();
  return {
    page,
    posts: () => requests.filter((request) => request.method() === "POST"),
    check() {
      const withoutFragment = requests.map((request) => request.url().split("#")[0]);
      assert.deepEqual(withoutFragment.filter((url) => new URL(url).origin !== origin), [], "other origins");
      assert.deepEqual(withoutFragment.filter(holdsKey), [], "keys in addresses");
      // The browser itself reports a page whose status is 4xx or 5xx; what a page loads must be there.
      const pages = new Set(requests.filter((request) => request.isNavigationRequest()).map((request) => request.url()));
      const refused = ({ text, url }) => text.startsWith("Failed to load resource") && pages.has(url);
      assert.deepEqual(errors.filter((error) => !refused(error)), [], "errors on the console");
    },
    close: () => context.close(),
  };
}

/** A test with a server and a browser of its own. */
export function visit(name, { server: serverOptions, ...options }, body) {
  test(name, async () => {
    const server = await start(serverOptions);
    try {
      const visitor = await open(server.origin, options);
      try {
        await body({ ...visitor, server, origin: server.origin });
        visitor.check();
        assert.ok(!holdsKey(server.log()), "a key in the server's log");
      } finally {
        await visitor.close();
      }
    } finally {
      await server.stop();
    }
  });
}

export const field = (page) => page.getByRole("textbox", { name: "Download key" });
export const button = (page) => page.getByRole("button");
export const slip = (page) => page.getByRole("alert").locator(".slip");

/** Does what leads to another page and returns that page's answer, once all of it is there. */
export async function follow(page, act) {
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.request().isNavigationRequest() && response.status() !== 303),
    page.waitForEvent("load"),
    act(),
  ]);
  return answer;
}

/** Sends the form with this in its field, whatever the script thinks of it. */
export async function send(page, typed) {
  await field(page).fill(typed);
  return follow(page, () => page.evaluate(() => document.getElementById("redeem").submit()));
}
