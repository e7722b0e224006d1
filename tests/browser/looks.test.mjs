// Every page in every state, light and dark, on a phone and on a desk: no barrier that axe knows of, nothing that sticks
// out, and a picture of each for people to look at.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { DESKTOP, PHONE, field, open, send, slip } from "./browser.mjs";
import { EXPIRED, FRESH, FUTURE, REDEEMED, REVOKED, UNKNOWN, mistype, swap } from "./seed.mjs";
import { start } from "./server.mjs";

const PICTURES = join(process.env.ARTIFACTS ?? fileURLToPath(new URL("../../artifacts", import.meta.url)), "screenshots");
mkdirSync(PICTURES, { recursive: true });

const LOOKS = Object.entries({ phone: PHONE, desktop: DESKTOP }).flatMap(([size, options]) =>
  ["light", "dark"].map((colorScheme) => ({ name: `${colorScheme}-${size}`, options: { ...options, colorScheme } })));
// The narrowest width at which a page may not need scrolling in two directions (WCAG 2.2, 1.4.10).
const NARROWEST = 320;

const usual = await start();
// Nothing is renewed, links die at once, and hardly any guess is allowed.
const strict = await start({
  options: ["--unknown-burst", "1", "--unknown-per-minute", "1", "--max-renewals", "0",
    "--link-min-seconds", "1", "--link-max-seconds", "1"],
});
after(() => Promise.all([usual.stop(), strict.stop()]));

const [KEY, SECOND, THIRD] = FRESH["slow-tide"];
const tide = await redeem(usual, KEY);
const arcade = await redeem(usual, FRESH["rooftop-arcade"][0]);
const revoked = await redeem(usual, SECOND);
usual.tool("revoke", SECOND);
const brief = await redeem(strict, KEY);

async function redeem({ origin }, key) {
  const answer = await fetch(`${origin}/redemptions`, { method: "POST", body: new URLSearchParams({ key }) });
  assert.equal(answer.status, 201);
  const { redemption, files } = await answer.json();
  return { receipt: redemption.receipt_url, link: files[0].url };
}

async function typed(page, text) {
  await page.goto(usual.origin);
  await field(page).pressSequentially(text);
}
const told = (text) => async (page) => {
  await typed(page, text);
  await page.keyboard.press("Enter");
  await slip(page).waitFor();
};
const refused = (text, status) => async (page) => {
  await page.goto(usual.origin);
  assert.equal((await send(page, text)).status(), status);
};
const at = (url, status) => async (page) => assert.equal((await page.goto(url)).status(), status);
/** What comes with time: asks until it is there. */
const until = (url, status) => async (page) => { while ((await page.goto(url)).status() !== status); };

const STATES = {
  "form": at(usual.origin, 200),
  "form-half-typed": (page) => typed(page, THIRD.slice(0, 15)),
  "form-scanned": at(`${usual.origin}/#${THIRD}`, 200),
  "script-wrong-symbol": told(mistype(THIRD, 7)),
  "script-swap": told(swap(THIRD, 3)),
  "script-letter-u": told(THIRD.replace(THIRD[3], "U")),
  "script-too-short": told(THIRD.slice(0, 20)),
  "script-empty": told(""),
  "server-wrong-symbol": refused(mistype(THIRD, 7), 422),
  "server-swap": refused(swap(THIRD, 3), 422),
  "server-many-mistakes": refused("Z".repeat(25), 422),
  "server-letter-u": refused(THIRD.replace(THIRD[3], "U"), 422),
  "server-too-short": refused(THIRD.slice(0, 20), 422),
  "server-empty": refused("", 422),
  "unknown": refused(UNKNOWN, 404),
  "already-redeemed": refused(REDEEMED, 409),
  "revoked": refused(REVOKED, 410),
  "expired": refused(EXPIRED, 410),
  "not-yet-valid": refused(FUTURE, 403),
  "too-many-attempts": async (page) => {
    await page.goto(strict.origin);
    while ((await send(page, UNKNOWN)).status() !== 429);
  },
  "receipt": at(tide.receipt, 200),
  "receipt-arcade": at(arcade.receipt, 200),
  "receipt-checksums": async (page) => {
    await page.goto(tide.receipt);
    await page.locator("summary").click();
  },
  "receipt-revoked": at(revoked.receipt, 410),
  "receipt-unknown": at(`${usual.origin}/redemptions/${"A".repeat(87)}`, 404),
  "renewals-used-up": until(brief.receipt, 403),
  "link-expired": until(brief.link, 410),
  "link-invalid": at(tide.link.replace(/signature=.*/, "signature=AAAAAAAAAAAAAAAAAAAAAA"), 403),
  "not-found": at(`${usual.origin}/nowhere`, 404),
};

const STRICT_STATES = new Set(["too-many-attempts", "renewals-used-up", "link-expired"]);

for (const [state, reach] of Object.entries(STATES)) {
  test(state, async (t) => {
    const { origin } = STRICT_STATES.has(state) ? strict : usual;
    for (const look of LOOKS) {
      await t.test(look.name, async () => {
        const visitor = await open(origin, look.options);
        try {
          await reach(visitor.page);
          await judge(visitor.page, `${state}-${look.name}`);
          visitor.check();
        } finally {
          await visitor.close();
        }
      });
    }
  });
}

async function judge(page, name) {
  // A form has the focus somewhere, but only a moment after it has loaded.
  if (await field(page).count()) await page.locator("#redeem :focus").waitFor();
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
  assert.deepEqual(await barriers(page), []);
  for (const width of [page.viewportSize().width, NARROWEST]) {
    await page.setViewportSize({ width, height: page.viewportSize().height });
    const needed = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(needed <= width, `the page needs ${needed} of ${width} pixels`);
  }
}

async function barriers(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
}

test("pictures for the documentation", async () => {
  const { page, close } = await open(usual.origin, { ...DESKTOP, deviceScaleFactor: 2 });
  try {
    await typed(page, THIRD.slice(0, 17));
    await page.screenshot({ path: join(PICTURES, "docs-form.png"), caret: "initial" });
    await page.goto(arcade.receipt);
    await page.screenshot({ path: join(PICTURES, "docs-receipt.png") });
  } finally {
    await close();
  }
});
