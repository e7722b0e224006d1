// Redeeming in a browser, with and without the script. Run with: npm ci && npm test
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { button, field, follow, open, send, slip, visit } from "./browser.mjs";
import { EXPIRED, FRESH, FUTURE, REDEEMED, REVOKED, UNKNOWN, libraryFile, mistype, plain, swap } from "./seed.mjs";
import { tap } from "./server.mjs";

const [KEY, OTHER] = FRESH["slow-tide"];
const SCRIPT = { javaScriptEnabled: true };
const NO_SCRIPT = { javaScriptEnabled: false };
const both = [["with the script", SCRIPT], ["without the script", NO_SCRIPT]];

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const idempotencyKey = (page) => page.locator("[name=idempotency_key]").inputValue();

/** Types the key, presses the button and returns the receipt's address. */
async function redeem(page, origin, key = KEY) {
  await page.goto(origin);
  await field(page).fill(key);
  await button(page).click();
  return onReceipt(page);
}

async function onReceipt(page) {
  await page.waitForURL("**/redemptions/*");
  await page.getByRole("heading", { level: 1 }).waitFor();
  return page.url();
}

/** Waits until the field has the focus: the page puts it there, a moment after it has loaded. */
const hasFocus = (page) => page.locator("#key:focus").waitFor();
const caret = (page) => field(page).evaluate((input) => input.selectionStart);
const press = async (page, keys) => { for (const key of keys) await page.keyboard.press(key); };

// ---- The way to the receipt ----

visit("a key that is typed is grouped, and the caret stays where the person is", SCRIPT, async ({ page, origin }) => {
  await page.goto(origin);
  await hasFocus(page);
  const symbols = plain(KEY).toLowerCase();
  for (let typed = 1; typed <= symbols.length; typed += 1) {
    await page.keyboard.press(symbols[typed - 1]);
    const expected = KEY.slice(0, typed + Math.floor((typed - 1) / 5));
    assert.equal(await field(page).inputValue(), expected);
    assert.equal(await caret(page), expected.length);
  }
  // Taking out the 3rd symbol and putting it back, from the keyboard.
  await press(page, ["Home", "ArrowRight", "ArrowRight", "ArrowRight", "Backspace"]);
  assert.equal(plain(await field(page).inputValue()), plain(KEY).slice(0, 2) + plain(KEY).slice(3));
  assert.equal(await caret(page), 2);
  await page.keyboard.press(KEY[2]);
  assert.equal(await field(page).inputValue(), KEY);
  assert.equal(await caret(page), 3);
  // Backspace goes past a dash without being caught by it.
  await press(page, ["End", ...Array(25).fill("Backspace")]);
  assert.equal(await field(page).inputValue(), "");
});

for (const [how, options] of both) {
  visit(`redeeming ${how} leads to a receipt whose links work`, options, async ({ page, origin, posts }) => {
    const receipt = await redeem(page, origin);
    assert.equal(posts().length, 1);
    assert.equal(await page.title(), "Slow Tide by Marée Basse: your download");
    const cover = page.getByRole("img", { name: "Front cover of Slow Tide" });
    await page.waitForFunction((image) => image.complete, await cover.elementHandle());
    assert.ok(await cover.evaluate((image) => image.naturalWidth) > 0, "the cover is shown");

    const names = await page.locator(".files .name").allTextContents();
    assert.equal(names.length, 7);
    const sums = await page.locator("pre").textContent();
    for (const name of names) {
      const link = page.locator(".files a").filter({ hasText: name });
      const answer = await page.request.get(new URL(await link.getAttribute("href"), origin).href);
      const expected = libraryFile("slow-tide", name);
      assert.equal(answer.status(), 200);
      assert.ok(expected.equals(await answer.body()), name);
      assert.ok(sums.includes(`${sha256(expected)}  ${name}\n`), name);
      const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
      assert.equal(download.suggestedFilename(), name);
      assert.ok(expected.equals(readFileSync(await download.path())), name);
    }

    const again = await page.reload();
    assert.equal(again.status(), 200);
    assert.equal(page.url(), receipt);
    assert.equal(await page.locator(".files a").count(), 7);
    assert.equal(await page.getByRole("link", { name: receipt }).getAttribute("href"), receipt);
  });

  visit(`going back ${how} and sending the same key again gives the same receipt`, options, async ({ page, origin }) => {
    const receipt = await redeem(page, origin);
    await page.goBack();
    await field(page).fill(KEY);
    const answer = await follow(page, () => button(page).click());
    assert.equal(answer.url(), receipt);
  });

  visit(`an answer that got lost ${how} costs nothing: reloading settles it`, options, async ({ page, origin, posts }) => {
    await page.goto(origin);
    const answers = [];
    await page.route("**/redemptions", async (route) => {
      answers.push(await route.fetch({ maxRedirects: 0 }));
      await (answers.length === 1 ? route.abort("connectionreset") : route.fulfill({ response: answers.at(-1) }));
    });
    await field(page).fill(KEY);
    await button(page).click();
    await page.waitForFunction(() => location.protocol === "chrome-error:");
    await page.reload();
    const receipt = await onReceipt(page);
    assert.deepEqual(answers.map((answer) => new URL(answer.headers().location, origin).href), [receipt, receipt]);
    assert.equal(answers[1].headers()["idempotency-replayed"], "true");
    assert.equal(posts().length, 2);
  });

  visit(`pressing twice ${how} is one redemption`, options, async ({ page, origin, posts }) => {
    await page.goto(origin);
    await field(page).fill(KEY);
    await button(page).dblclick();
    await onReceipt(page);
    if (options === SCRIPT) assert.equal(posts().length, 1);
  });
}

visit("a form that is sent twice at once without the script is one redemption", NO_SCRIPT, async ({ page, origin }) => {
  await page.goto(origin);
  const form = { key: KEY, idempotency_key: await idempotencyKey(page) };
  assert.match(form.idempotency_key, /^[!-~]{16,255}$/);
  const post = () => page.request.post(`${origin}/redemptions`, { form, headers: { accept: "text/html" }, maxRedirects: 0 });
  const answers = await Promise.all([post(), post()]);
  assert.deepEqual(answers.map((answer) => answer.status()), [303, 303]);
  const [one, two] = answers.map((answer) => answer.headers());
  assert.equal(one.location, two.location);
  assert.deepEqual([one, two].map((headers) => headers["idempotency-replayed"]).sort(), ["true", undefined]);
  // Another form is another person.
  await page.reload();
  assert.notEqual(await idempotencyKey(page), form.idempotency_key);
  assert.equal((await send(page, KEY)).status(), 409);
});

visit("a key in the fragment fills the field and is sent nowhere", SCRIPT, async ({ server, origin }) => {
  const wire = await tap(server.address);
  const { page, check, close } = await open(wire.origin);
  try {
    await page.goto(`${wire.origin}/#${KEY}`);
    assert.equal(await field(page).inputValue(), KEY);
    assert.equal(page.url(), `${wire.origin}/`);
    assert.match(await page.getByRole("status").textContent(), /filled in/);
    await page.locator("button:focus").waitFor();
    // Another card, scanned while the page is open.
    await page.evaluate((key) => { location.hash = key; }, OTHER.toLowerCase());
    await page.waitForFunction((key) => document.getElementById("key").value === key, OTHER);
    assert.equal(page.url(), `${wire.origin}/`);
    assert.notEqual(origin, wire.origin);
    assert.match(wire.sent(), /^GET \/ HTTP\/1\.1\r\n/);
    for (const key of [KEY, OTHER]) {
      assert.ok(!wire.sent().toUpperCase().includes(key) && !wire.sent().toUpperCase().includes(plain(key)));
    }

    await page.keyboard.press("Enter");
    await onReceipt(page);
    const [before, after, ...more] = wire.sent().split(OTHER);
    assert.deepEqual(more, [], "sent once");
    assert.match(before, /POST \/redemptions HTTP\/1\.1\r\n(?:.+\r\n)+\r\n.*$/, "in the body of the redemption");
    assert.ok(!(before + after).includes(KEY));
    check();
  } finally {
    await close();
    wire.close();
  }
});

visit("a key with marks around it in the fragment fills the field rightly", SCRIPT, async ({ page, origin }) => {
  await page.goto(`${origin}/#%E2%81%A8${KEY}%E2%81%A9`);
  assert.equal(await field(page).inputValue(), KEY);
});

for (const [how, options] of both) {
  visit(`a message with a key in it that is pasted is that key, ${how}`, options, async ({ page, origin }) => {
    for (const text of [`Key: ${KEY}`, `${origin}/#${KEY}`, `Your download code is ${KEY}. Enjoy!`, `“${KEY}”`]) {
      await page.goto(origin);
      await field(page).fill(text);
      if (options === SCRIPT) assert.equal(await field(page).inputValue(), KEY);
      const answer = await send(page, text);
      assert.ok([200, 303, 409].includes(answer.status()), `${text}: ${answer.status()}`);
    }
  });
}

// ---- Typing mistakes ----

const MISTAKES = [
  ["a wrong symbol", mistype(KEY, 7), [plain(mistype(KEY, 7))[6]], new RegExp(`\\b${plain(KEY)[6]}\\b`)],
  ["two neighbours the wrong way round", swap(KEY, 12), [...plain(swap(KEY, 12)).slice(11, 13)], /wrong order|other way round/],
];

for (const [what, typo, wrong, says] of MISTAKES) {
  visit(`the script explains ${what} before anything is sent`, SCRIPT, async ({ page, origin, posts }) => {
    await page.goto(origin);
    await field(page).pressSequentially(typo);
    await page.keyboard.press("Enter");
    await explained(page, typo, wrong, says);
    assert.equal(posts().length, 0);
    assert.match(await button(page).textContent(), /anyway/);

    const answer = await follow(page, () => button(page).click());
    assert.equal(answer.status(), 422);
    await explained(page, typo, wrong, says);
    assert.equal(posts().length, 1);
  });

  visit(`without the script the server explains ${what} beside the field`, NO_SCRIPT, async ({ page, origin }) => {
    await page.goto(origin);
    const answer = await send(page, typo);
    assert.equal(answer.status(), 422);
    assert.match(await page.title(), /^Error: /);
    await explained(page, typo, wrong, says);
    await field(page).fill(KEY);
    await button(page).click();
    await onReceipt(page);
  });
}

visit("a mistake that is mended takes its explanation along", SCRIPT, async ({ page, origin, posts }) => {
  await page.goto(origin);
  await field(page).pressSequentially(mistype(KEY, 1));
  await page.keyboard.press("Enter");
  await slip(page).waitFor();
  await press(page, ["Home", "Delete", KEY[0]]);
  assert.equal(await slip(page).count(), 0);
  assert.equal(await field(page).getAttribute("aria-invalid"), null);
  assert.equal(posts().length, 0);
  await page.keyboard.press("Enter");
  await onReceipt(page);
});

async function explained(page, typed, wrong, says) {
  await besideTheField(page, typed);
  assert.match(await slip(page).innerText(), says);
  assert.deepEqual(await slip(page).locator("mark").allTextContents(), wrong);
}

async function besideTheField(page, typed) {
  await slip(page).waitFor();
  assert.equal(await field(page).inputValue(), typed);
  assert.equal(await field(page).getAttribute("aria-invalid"), "true");
  await hasFocus(page);
  for (const attribute of ["aria-describedby", "aria-errormessage"]) {
    const [id] = (await field(page).getAttribute(attribute)).split(" ");
    assert.equal(await page.locator(`#${id}`).innerText(), await slip(page).locator("#key-problem").innerText());
  }
  const [above, below] = [await slip(page).boundingBox(), await field(page).boundingBox()];
  assert.ok(Math.abs(above.y + above.height - below.y) < 4, "the slip touches the field");
  assert.ok(below.y >= 0 && below.y + below.height <= page.viewportSize().height, "the field is in sight");
}

// ---- Refusals ----

const REFUSALS = [
  ["nothing", "", 422, "malformed", /enter|type/i],
  ["a key that is too short", KEY.slice(0, 20), 422, "malformed", /\b17\b/],
  ["a letter that no key has", KEY.replace(KEY[3], "U"), 422, "malformed", /\bU\b/],
  ["something else altogether", 'x"><img src=x onerror=alert(1)>x', 422, "malformed", /never the letter U/],
  ["an unknown key", UNKNOWN, 404, "unknown", /check|ask/],
  ["a key that was redeemed", REDEEMED, 409, "already_redeemed", /20 November 2026/],
  ["a key that was revoked", REVOKED, 410, "revoked", /revoked|withdrawn|void/i],
  ["a key that has expired", EXPIRED, 410, "expired", /1 January 2020/],
  ["a key of the future", FUTURE, 403, "not_yet_valid", /2099/],
];

for (const [what, typed, status, reason, says] of REFUSALS) {
  for (const [how, options] of both) {
    visit(`${what} is refused beside the field, ${how}`, options, async ({ page, origin }) => {
      await page.goto(origin);
      const answer = await send(page, typed);
      assert.equal(answer.status(), status);
      assert.match(await page.title(), /^Error: /);
      // The script may group what was typed again, and nothing else.
      const shown = await field(page).inputValue();
      assert.equal(plain(shown), options === SCRIPT ? plain(typed).toUpperCase().replaceAll(" ", "") : plain(typed));
      await besideTheField(page, shown);
      assert.equal(await slip(page).getAttribute("data-reason"), reason);
      assert.match(await slip(page).innerText(), says);
      // Whoever mistypes can mend it alone; with the others somebody may have to help.
      const quoted = (await slip(page).innerText()).includes(answer.headers()["x-request-id"]);
      assert.equal(quoted, status !== 422);
    });
  }
}

const STRICT = { ...SCRIPT, server: { options: ["--unknown-burst", "1", "--unknown-per-minute", "1"] } };
visit("after too many guesses the form says how long to wait, and can be sent again", STRICT, async ({ page, origin }) => {
  await page.goto(origin);
  assert.equal((await send(page, UNKNOWN)).status(), 404);
  const first = await idempotencyKey(page);
  const answer = await send(page, KEY);
  assert.equal(answer.status(), 429);
  assert.match(answer.headers()["retry-after"], /^\d+$/);
  assert.equal(await button(page).textContent(), "Try again");
  assert.equal(await idempotencyKey(page), first);
  await besideTheField(page, KEY);
});

// ---- The same words with the script and without ----

const SLIPS = [
  "", KEY.slice(0, 20), KEY.slice(0, -1), `${KEY}2`, KEY.replace(KEY[3], "U"), "uuu??", mistype(KEY, 7), swap(KEY, 12),
  mistype(mistype(mistype(KEY, 3), 9), 14),
];

visit("a mistake is told in the same words with the script and without", SCRIPT, async ({ page, origin }) => {
  const words = async (page) => {
    const paragraphs = await slip(page).locator("#key-problem p").allTextContents();
    return [...paragraphs.slice(0, 2), ...await slip(page).locator(".hints li").allTextContents()];
  };
  const plainly = await open(origin, NO_SCRIPT);
  try {
    for (const typed of SLIPS) {
      await page.goto(origin);
      await field(page).fill(typed);
      await button(page).click();
      await slip(page).waitFor();
      await plainly.page.goto(origin);
      assert.equal((await send(plainly.page, typed)).status(), 422);
      assert.deepEqual(await words(plainly.page), await words(page), typed);
    }
  } finally {
    await plainly.close();
  }
});

visit("a refusal tells its moment in the reader's own zone", { ...SCRIPT, timezoneId: "Asia/Tokyo" }, async ({ page, origin }) => {
  await page.goto(origin);
  await send(page, EXPIRED);
  assert.match(await slip(page).innerText(), /1 January 2020 at 09:00 GMT\+9/);
});

// ---- After the links have expired ----

const SHORT = { server: { options: ["--link-min-seconds", "1", "--link-max-seconds", "1"] } };
for (const [how, options] of both) {
  visit(`a file that is tapped in an open receipt after its links have expired is downloaded ${how}`, { ...options, ...SHORT }, async ({ page, origin }) => {
    const receipt = await redeem(page, origin);
    const links = await page.request.get(receipt, { headers: { accept: "text/plain" } });
    const [signed] = (await links.text()).split("\n");
    const dead = async () => (await page.request.get(signed)).status() === 410;
    for (let patience = 100; !(await dead()); patience -= 1) {
      assert.ok(patience > 0, "the links expire");
      await page.waitForTimeout(100);
    }
    const name = await page.locator(".files .name").first().textContent();
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".files a").first().click()]);
    assert.ok(libraryFile("slow-tide", name).equals(readFileSync(await download.path())), name);

    // The old link leads back to the receipt from which it was opened.
    const answer = await page.goto(signed, { referer: receipt });
    assert.equal(answer.status(), 410);
    await page.getByRole("link", { name: "Back to your receipt" }).click();
    await page.waitForURL(receipt);
  });
}

// ---- Other pages ----

const MESSAGES = [
  ["an address that does not exist", 404, (origin) => `${origin}/nowhere`],
  ["a receipt that does not exist", 404, (origin) => `${origin}/redemptions/${"A".repeat(87)}`],
  ["a link that was changed", 403, (origin) => `${origin}/files/slow-tide/cover.png?expires=1&key=AAAA&signature=AAAA`],
];

for (const [what, status, address] of MESSAGES) {
  visit(`${what} has a page that leads back to the form`, SCRIPT, async ({ page, origin }) => {
    const answer = await page.goto(address(origin));
    assert.equal(answer.status(), status);
    assert.match(answer.headers()["content-type"], /^text\/html/);
    assert.ok((await page.getByRole("heading", { level: 1 }).innerText()).length > 10);
    await page.getByRole("main").getByRole("link").click();
    await field(page).waitFor();
    assert.equal(page.url(), `${origin}/`);
  });
}

visit("a receipt ends when its ticket is revoked", SCRIPT, async ({ page, origin, server }) => {
  const receipt = await redeem(page, origin);
  server.tool("revoke", KEY);
  const answer = await page.goto(receipt);
  assert.equal(answer.status(), 410);
  assert.equal(await page.locator(".files a").count(), 0);
});

// ---- The keyboard ----

for (const [how, options] of both) {
  visit(`everything can be done from the keyboard ${how}`, options, async ({ page, origin }) => {
    await page.goto(origin);
    await hasFocus(page);
    await page.keyboard.insertText(KEY);
    assert.deepEqual(await tabOrder(page), ["tickey-lickey", "Download key", "Get the download"]);
    await field(page).focus();
    await page.keyboard.press("Enter");
    await onReceipt(page);

    const names = await page.locator(".files .name").allTextContents();
    const stops = await tabOrder(page);
    assert.deepEqual(stops, ["tickey-lickey", "it is your receipt", ...names, page.url(), "Checksums, to see that every file arrived whole"]);
    await page.locator("summary").focus();
    await page.keyboard.press("Enter");
    assert.ok(await page.locator("pre").isVisible());
    await page.locator(".files a").first().focus();
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    assert.equal(download.suggestedFilename(), names[0]);
  });
}

/** What Tab stops at from the top of the page to its end; each stop must be seen to have the focus. */
async function tabOrder(page) {
  await page.evaluate(() => {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
  });
  const stops = [];
  for (;;) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === document.body) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const { top, bottom } = element.getBoundingClientRect();
      return {
        name: element.labels?.[0]?.textContent ?? element.querySelector(".name")?.textContent ?? "",
        text: element.textContent.trim(),
        seen: outlineStyle === "solid" && parseFloat(outlineWidth) >= 2 && top >= 0 && bottom <= innerHeight,
      };
    });
    if (!stop) return stops;
    stops.push(stop.name || stop.text);
    assert.ok(stop.seen, `the focus on ${stops.at(-1)} is visible`);
    assert.ok(stops.length < 50, "the focus is not caught");
  }
}
