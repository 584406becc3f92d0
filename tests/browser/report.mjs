// The report in a real Chromium, from disk: node --test tests/browser/report.mjs, with SWEEPLAKE=PROGRAM, CHROMIUM=… and SCREENSHOTS=FOLDER where the
// defaults do not fit.
// Makes a small sweep on the simulated server, writes its report, and looks at it as readers do.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { test, before, after } from "node:test";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const program = path.resolve(process.env.SWEEPLAKE ?? "target/debug/sweeplake");
const pictures = process.env.SCREENSHOTS;
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sweeplake-browser-"));
const hostile = `</script><img src=x onerror="window.pwned = 1">'"&\u202e${"x".repeat(10_000)}`;
let browser;

const run = (...words) => execFileSync(program, words, { cwd: folder, stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" });
const write = (name, value) => fs.writeFileSync(path.join(folder, name), typeof value === "string" ? value : JSON.stringify(value));

before(async () => {
  write("serve.json", [{ max_num_seqs: 2 }, { max_num_seqs: 8 }, { max_num_seqs: 32 }]);
  write("bench.json", [{ max_concurrency: 1 }, { max_concurrency: 4 }, { max_concurrency: 16, label: hostile }]);
  write("notes.md", `# Why\n\n${hostile}\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n`);
  const port = 20_000 + (process.pid % 10_000);
  run("serve", "--serve-cmd", `${program} sim m --port ${port} --speed 20`,
    "--bench-cmd", `${program} bench --port ${port} --random-input-len 16 --random-output-len 4 --num-prompts 12 --ignore-eos --save-detailed`,
    "--serve-params", "serve.json", "--bench-params", "bench.json", "--num-runs", "2", "-o", "lake", "-e", "hostile");
  run("report", "lake/hostile", "--title", hostile, "--notes", "notes.md", "-o", "report.html");
  run("serve", "--serve-cmd", `${program} sim m --port ${port} --speed 20`,
    "--bench-cmd", `${program} bench --port ${port} --random-input-len 16 --random-output-len 4 --num-prompts 12 --ignore-eos`,
    "--serve-params", "serve.json", "--bench-params", "bench.json", "--num-runs", "1", "-o", "lake", "-e", "later");
  run("report", "lake/hostile", "lake/later", "-o", "both.html");
  run("report", "lake/hostile");
  run("report", "lake/later", "-o", "later.html");
  run("report", "--lake", "lake", "-o", "index.html");
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

/** A page of a file, with everything that goes wrong on it. */
async function open(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const errors = [];
  const requests = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => !/^(file|data|blob):/.test(request.url()) && requests.push(request.url()));
  await page.goto(pathToFileURL(path.join(folder, name)).href);
  return { page, errors, requests, close: () => context.close() };
}

const look = async (page, name) => pictures && page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: true });

async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
  return found.violations.map((violation) => `${violation.id}: ${violation.help}: ${violation.nodes.slice(0, 3).map((node) => node.target).join(" ")}`);
}

test("it opens from disk, asks for nothing, and all charts are there", async () => {
  const { page, errors, requests, close } = await open("report.html");
  assert.deepEqual(errors, []);
  assert.deepEqual(requests, []);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  const charts = await page.$$eval("figure img", (images) => images.map((image) => [image.complete && image.naturalWidth > 400, image.alt.startsWith("Chart: ")]));
  assert.ok(charts.length >= 9, `${charts.length} charts`);
  assert.ok(charts.every(([isDrawn, isTold]) => isDrawn && isTold));
  assert.ok((await page.$$eval("pre.data", (data) => data.every((one) => one.textContent.startsWith("series,x,x_low,x_high,y,y_low,y_high,n\n")))));
  assert.equal(await page.locator("h1").count(), 1);
  await look(page, "light-1280");
  await close();
});

test("tables sort, filter and download", async () => {
  const { page, errors, close } = await open("report.html");
  const table = page.locator("table.sortable");
  const shown = () => table.locator("tbody tr:visible").count();
  assert.equal(await shown(), 9);
  const head = table.locator("th", { hasText: "Output throughput" });
  const column = await head.evaluate((cell) => cell.cellIndex);
  const values = () => table.locator("tbody tr:visible").evaluateAll((rows, column) => rows.map((row) => Number.parseFloat(row.cells[column].textContent)), column);
  await head.getByRole("button").click();
  const ascending = await values();
  assert.deepEqual(ascending, [...ascending].sort((a, b) => a - b));
  assert.equal(await head.getAttribute("aria-sort"), "ascending");
  await head.getByRole("button").press("Enter");
  assert.deepEqual(await values(), [...ascending].reverse());
  await page.getByRole("searchbox").fill("max_num_seqs=32 max_concurrency=1 ");
  assert.equal(await shown(), 2, "1 and 16");
  assert.match(await page.getByRole("status").textContent(), /^2 of 9 rows$/);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download as CSV" }).click()]);
  const lines = fs.readFileSync(await download.path(), "utf8").trim().split("\n");
  assert.equal(lines.length, 3);
  // A mean and its interval are a number each; where the repeats do not differ at all, there is no interval.
  assert.match(lines[0], /,"Output throughput, mean of runs \(tok\/s\)","± Output throughput, mean of runs \(tok\/s\)",/);
  assert.ok(lines.slice(1).every((line) => /^"?max_num_seqs=32 · .*(,\d+(\.\d+)?,(\d+(\.\d+)?)?){4},2$/.test(line)), lines.join("\n"));
  assert.deepEqual(errors, []);
  await close();
});

test("a text that a spreadsheet would take for a formula is a text in the CSV", async () => {
  const { page, errors, close } = await open("report.html");
  const table = page.locator("table.sortable").first();
  await table.locator("tbody tr").first().locator("td").first().evaluate((cell) => (cell.textContent = "=HYPERLINK(1)"));
  const button = page.getByRole("button", { name: "Download as CSV" }).first();
  const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
  const text = fs.readFileSync(await download.path(), "utf8");
  assert.match(text, /^'=HYPERLINK\(1\),/m);
  assert.deepEqual(errors, []);
  await close();
});

test("numbers without intervals sort as numbers", async () => {
  const { page, errors, close } = await open("later.html");
  const table = page.locator("table.sortable");
  const head = table.locator("th", { hasText: "Output throughput" });
  await head.getByRole("button").click();
  const column = await head.evaluate((cell) => cell.cellIndex);
  const values = await table.locator("tbody tr").evaluateAll((rows, column) => rows.map((row) => Number(row.cells[column].textContent)), column);
  assert.equal(values.length, 9);
  assert.ok(values.every(Number.isFinite) && values.at(-1) > 1000, `${values}`);
  assert.deepEqual(values, [...values].sort((a, b) => a - b));
  assert.deepEqual(errors, []);
  await close();
});

test("the contents lead to every section", async () => {
  for (const name of ["report.html", "both.html"]) {
    const { page, close } = await open(name);
    const links = await page.$$eval("nav a", (all) => all.map((link) => link.hash.slice(1)));
    const sections = await page.$$eval("main h2", (all) => all.map((head) => head.id).filter((id) => id && !/^verdict-[^1]/.test(id)));
    assert.deepEqual(links, sections, name);
    await close();
  }
});

test("a hover reads the values", async () => {
  const { page, errors, close } = await open("report.html");
  const figure = page.locator("figure", { has: page.locator("figcaption", { hasText: "Output throughput vs. max_concurrency" }) });
  const box = await figure.locator("img").boundingBox();
  const [x, y] = (await figure.getAttribute("data-places")).split(";").find(Boolean).split(",").map(Number);
  await figure.locator("img").hover({ position: { x: x * box.width, y: y * box.height } });
  const [, name, value] = (await figure.locator(".data").textContent()).split("\n")[1].match(/^(.*?),([^,]*),[^,]*,[^,]*,[^,]*,[^,]*$/);
  const tip = await figure.locator(".tip").textContent();
  assert.ok(tip.includes(`max_concurrency: ${value}`) && tip.includes("(2 runs)"), `${name}: ${tip}`);
  assert.deepEqual(errors, []);
  await close();
});

test("nobody is shut out: axe, light and dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const name of ["report.html", "both.html", "index.html"]) {
      const { page, close } = await open(name, { colorScheme });
      for (const details of await page.$$("details")) await details.evaluate((one) => (one.open = true));
      assert.deepEqual(await violations(page), [], `${name}, ${colorScheme}`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = false)));
      await look(page, `${path.parse(name).name}-${colorScheme}`);
      await close();
    }
  }
});

test("dark is dark", async () => {
  const { page, close } = await open("report.html", { colorScheme: "dark" });
  const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).map(Number));
  assert.ok(Math.max(...paper) < 40, `${paper}`);
  // Charts too: the corner of one is seen dark.
  const chart = page.locator("figure img").first();
  await chart.scrollIntoViewIfNeeded();
  const box = await chart.boundingBox();
  const shot = await page.screenshot({ clip: { x: box.x + 4, y: box.y + 20, width: 2, height: 2 } });
  const corner = await page.evaluate(async (data) => {
    const picture = await createImageBitmap(new Blob([Uint8Array.from(data)], { type: "image/png" }));
    const canvas = new OffscreenCanvas(2, 2).getContext("2d");
    canvas.drawImage(picture, 0, 0);
    return Array.from(canvas.getImageData(0, 0, 1, 1).data);
  }, Array.from(shot));
  assert.ok(Math.max(...corner.slice(0, 3)) < 60, `${corner}`);
  await close();
});

test("a phone of 360 pixels has no sideways scrolling", async () => {
  for (const name of ["report.html", "index.html"]) {
    const { page, close } = await open(name, { viewport: { width: 360, height: 740 } });
    const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    assert.ok(wide <= seen, `${name}: ${wide} pixels in ${seen}`);
    await look(page, `${path.parse(name).name}-360`);
    await close();
  }
});

test("it prints", async () => {
  const { page, close } = await open("report.html");
  const pdf = await page.pdf({ format: "A4" });
  assert.ok(pdf.subarray(0, 5).toString() === "%PDF-" && pdf.length > 50_000, `${pdf.length} bytes`);
  await close();
});

test("without scripts all of it is readable", async () => {
  const { page, close } = await open("report.html", { javaScriptEnabled: false });
  assert.equal(await page.locator("table.sortable tbody tr").count(), 9);
  assert.ok(await page.getByText("How to reproduce these results").isVisible());
  await close();
});

test("the index leads to the report", async () => {
  const { page, errors, close } = await open("index.html");
  assert.deepEqual(errors, []);
  const link = page.getByRole("link", { name: "hostile", exact: true });
  assert.equal(await link.getAttribute("href"), "lake/hostile/report.html");
  assert.equal(await page.locator("figure img").count(), 2, "trends of two metrics");
  await link.click();
  assert.equal(await page.locator("h1").textContent(), "Sweep hostile");
  await close();
});
