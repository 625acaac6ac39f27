// The page in a real browser. Each test is a function that fails by throwing.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { chromium } = require('playwright-core');

const folder = process.argv[2];
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const json = (name) => JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'));
const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

let browser;
const complaints = [];

// Opens a page in a window of its own; whatever it asks for or complains about is kept.
async function open(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-GB', ...options });
  const page = await context.newPage();
  const complain = (what) => complaints.push(`${name}: ${what}`);
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complain(message.text());
  });
  page.on('pageerror', (error) => complain(error.message));
  page.on('dialog', (dialog) => {
    complain(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith('file:') || !request.isNavigationRequest()) complain(`asks for ${request.url()}`);
  });
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`));
  });
  await page.goto(`file://${path.join(folder, name)}`);
  return page;
}

const values = (page, selector) => page.$$eval(selector, (list) => list.map((data) => Number(data.value)));
const total = async (page) => (await values(page, '#total data'))[0];
const names = (page, table) => page.$$eval(`${table} tbody tr:not([hidden]):not(.rest) th`, (list) => list.map((cell) => cell.textContent));
const sumOf = (report) => report.rows.reduce((sum, row) => sum + row.total_bytes, 0);

async function serious(page) {
  // Evaluated by the debugger, which no policy of the page holds back.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  return found.violations.filter((one) => ['serious', 'critical'].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
}

const tests = {
  async 'it opens in half a second and says what JSON says'() {
    const page = await open('home.html');
    // The best of three: the first one also starts the browser's processes.
    const took = [];
    for (let time = 0; time < 3; time += 1) {
      await page.reload();
      took.push(await page.evaluate(() => performance.getEntriesByType('navigation')[0].loadEventEnd));
    }
    assert.ok(Math.min(...took) < 500, `${took} ms`);
    const report = json('home.json');
    assert.equal(await total(page), sumOf(report));
    const rows = await page.$$eval('#sites-table tbody tr:not(.rest)', (list) => list.map((row) => [
      row.querySelector('th bdi').textContent, ...[...row.querySelectorAll('td data.b')].map((data) => Number(data.value))]));
    const expected = report.rows.slice(0, 100).map((row) => [row.site, row.total_bytes, row.down_bytes, row.up_bytes]);
    assert.deepEqual(rows, expected);
  },

  async 'it is whole without its script'() {
    const page = await open('home.html', { javaScriptEnabled: false });
    assert.equal(await page.locator('#sites-table tbody tr').count(), 101);
    assert.equal(await page.locator('#chart g').count(), 27);
    assert.equal(await page.locator('#heat tbody td').count(), 27 * 24);
    assert.ok(await page.locator('#ledger').isVisible());
    assert.ok(!(await page.locator('#controls').isVisible()), 'nothing that does nothing');
  },

  async 'tables are sorted by their headings and searched'() {
    const page = await open('home.html');
    await page.click('#sites-table thead th:first-child button');
    let shown = await names(page, '#sites-table');
    assert.deepEqual(shown, [...shown].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })));
    assert.equal(await page.getAttribute('#sites-table thead th:first-child', 'aria-sort'), 'ascending');
    await page.click('#sites-table thead th:nth-child(5) button');
    const up = await values(page, '#sites-table tbody tr:not(.rest) td:nth-child(5) data');
    assert.deepEqual(up, [...up].sort((a, b) => b - a));
    await page.fill('#sites input[type=search]', 'STREAM');
    assert.deepEqual(await names(page, '#sites-table'), ['streamhouse.example']);
    await page.fill('#sites input[type=search]', 'thumbs.clips');
    assert.deepEqual(await names(page, '#sites-table'), ['clips.example'], 'by its hosts');
    await page.fill('#sites input[type=search]', '');
    assert.equal((await names(page, '#sites-table')).length, 25);
    await page.click('#sites .all');
    assert.equal((await names(page, '#sites-table')).length, 100);
  },

  async 'a range has the sums of a report of that range'() {
    const page = await open('home.html');
    await page.locator('#from').fill('9');
    await page.locator('#to').fill('11');
    const report = json('days.json');
    assert.equal(await total(page), sumOf(report));
    const shown = new Map(await page.$$eval('#sites-table tbody tr:not(.rest)', (list) => list.map((row) => [
      row.querySelector('th bdi').textContent, Number(row.querySelector('td data.b').value)])));
    const expected = new Map(report.rows.map((row) => [row.site, row.total_bytes]));
    for (const [site, bytes] of shown) assert.equal(bytes, expected.get(site) ?? 0, site);
    assert.equal(await page.locator('#chart g').count(), 72, 'hours of three days');
    await page.click('#range-all');
    assert.equal(await page.locator('#chart g').count(), 27);
    await page.click('#chart g:nth-of-type(5)');
    assert.match(await page.textContent('#range-text'), /5 Nov/);
  },

  async 'a range is compared with the one before, and one that is not there is said'() {
    const page = await open('home.html');
    await page.locator('#from').fill('12');
    await page.locator('#to').fill('14');
    await page.selectOption('#compare', 'before');
    const before = sumOf(json('days.json'));
    assert.match(await page.textContent('#compare-text'), /10 Nov.*12 Nov/);
    assert.match(await page.textContent('#total-change'), /^[+-]?\d/);
    const [now] = await values(page, '#total data');
    const percent = Math.round(((now - before) / before) * 100);
    assert.ok((await page.textContent('#total-change')).includes(`${Math.abs(percent)}%`));
    await page.selectOption('#compare', 'week');
    assert.match(await page.textContent('#compare-text'), /6 Nov.*8 Nov/);
    await page.click('#range-all');
    assert.match(await page.textContent('#compare-text'), /not in this page/);
  },

  async 'a site opens what it is made of, and a device does'() {
    const page = await open('home.html');
    await page.click('#sites-table tbody tr:first-child button');
    const body = page.locator('#detail-body');
    const row = json('home.json').rows[0];
    assert.equal(await page.textContent('#detail-name'), row.site);
    assert.equal((await values(page, '#detail-body .big data'))[0], row.total_bytes);
    const tables = await page.$$eval('#detail-body table.list', (list) => list.map((table) =>
      [...table.querySelectorAll('data')].reduce((sum, data) => sum + Number(data.value), 0)));
    assert.deepEqual(tables, [row.total_bytes, row.total_bytes], 'hosts, and devices, are all of it');
    assert.ok((await body.textContent()).includes('named its server itself'), 'evidence is explained there');
    await page.click('#detail-body table.list:last-of-type button >> nth=0');
    assert.match(await body.textContent(), /Sites/);
    await page.keyboard.press('Escape');
    assert.ok(!(await page.locator('#detail').isVisible()));
  },

  async 'everything is done by keyboard'() {
    const page = await open('home.html');
    const focus = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
    await page.keyboard.press('Tab');
    assert.equal(await focus(), 'To the sites');
    const reach = async (selector) => {
      for (let step = 0; step < 80; step += 1) {
        if (await page.evaluate((one) => document.activeElement.matches(one), selector)) return;
        await page.keyboard.press('Tab');
      }
      assert.fail(`${selector} is not reached`);
    };
    await reach('#from');
    await page.keyboard.press('ArrowRight');
    assert.match(await page.textContent('#range-text'), /^Mon, 2 Nov/);
    await reach('#chart g');
    await page.keyboard.press('ArrowRight');
    assert.ok(await page.locator('#tip').isVisible(), 'what a point says is shown');
    await page.keyboard.press('Enter');
    assert.match(await page.textContent('#range-text'), /^Tue, 3 Nov 2026$/);
    await reach('#heat td');
    await page.keyboard.press('ArrowDown');
    assert.match(await page.textContent('#tip'), /: .*B$/);
    await reach('#sites-table tbody button');
    const name = await focus();
    await page.keyboard.press('Enter');
    assert.equal(await focus(), 'detail-name');
    assert.ok((await page.textContent('#detail-name')).includes(name.trim()));
    await page.keyboard.press('Escape');
    assert.equal(await focus(), name, 'the focus goes back');
  },

  async 'it fits 320 pixels and more than four thousand'() {
    for (const width of [320, 760, 3840]) {
      for (const name of ['home.html', 'table.html', 'hostile.html', 'shared.html', 'empty.html', 'hostile-table.html']) {
        const page = await open(name, { viewport: { width, height: 900 } });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${name} is ${wide} wide at ${width}`);
        if (name === 'home.html') {
          await page.click('#sites-table tbody button >> nth=0');
          const inside = await page.$eval('#detail', (dialog) => [dialog.scrollWidth, dialog.clientWidth]);
          assert.ok(inside[0] <= inside[1], `the detail is ${inside[0]} wide at ${width}`);
        }
        await page.context().close();
      }
    }
  },

  async 'axe-core finds nothing serious, in light and in dark'() {
    for (const colorScheme of ['light', 'dark']) {
      for (const name of ['home.html', 'table.html', 'hostile.html', 'shared.html', 'empty.html']) {
        const page = await open(name, { colorScheme });
        assert.deepEqual(await serious(page), [], `${name}, ${colorScheme}`);
        if (name === 'home.html') {
          await page.click('#sites-table tbody button >> nth=0');
          assert.deepEqual(await serious(page), [], `the detail, ${colorScheme}`);
        }
        await page.context().close();
      }
    }
  },

  async 'dark is dark, and print is light and has no controls'() {
    const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await open('home.html', { colorScheme: 'dark' });
    const brightness = async (page) => (await background(page)).match(/\d+/g).slice(0, 3).reduce((sum, n) => sum + Number(n), 0);
    assert.ok(await brightness(dark) < 100);
    await dark.emulateMedia({ media: 'print', colorScheme: 'light' });
    assert.ok(await brightness(dark) > 700);
    assert.ok(!(await dark.locator('#controls').isVisible()));
    const pdf = await dark.pdf({ format: 'A4' });
    assert.ok(pdf.length > 10_000);
  },

  async 'what strangers call themselves stays text'() {
    for (const name of ['hostile.html', 'hostile-table.html']) {
      const page = await open(name);
      const all = await page.$('.all');
      if (all && await all.isVisible()) await all.click();
      assert.match(await page.textContent('main'), /<script>alert\(1\)<\/script>/);
      assert.equal(await page.locator('script').count(), name === 'hostile.html' ? 2 : 1);
      assert.equal(await page.locator('img, main svg[onload], iframe').count(), 0);
      if (name !== 'hostile.html') continue;
      const hostile = { sites: ['<script>alert(1)', 'onerror', '__proto__', 'llll', '=cmd'], devices: ['<script>alert(1)', 'onerror', '</script>'] };
      for (const [where, texts] of Object.entries(hostile)) {
        for (const text of texts) {
          await page.fill(`#${where} input[type=search]`, text);
          await page.click(`#${where}-table tbody tr:not([hidden]) button`);
          assert.ok((await page.textContent('#detail-name')).includes(text), text);
          await page.keyboard.press('Escape');
        }
      }
    }
  },

  async 'what could be somebody else’s is hatched'() {
    const page = await open('shared.html');
    assert.ok(await page.locator('#sites-table rect.doubt').count() > 0);
    const ranges = await page.$$eval('#sites-table td:nth-child(6)', (list) => list.filter((cell) => cell.textContent.includes('–')).length);
    assert.ok(ranges > 0);
  },

  async 'numbers and dates are as the reader’s language writes them'() {
    const page = await open('home.html', { locale: 'de-DE' });
    assert.match(await page.textContent('#total'), /^\d+,\d/);
    assert.match(await page.textContent('#range-text'), /So\., 1\. Nov/);
  },
};

(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ARGS });
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    complaints.length = 0;
    try {
      await test();
      assert.deepEqual(complaints, []);
      console.log(`ok: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED: ${name}\n  ${error.message.replaceAll('\n', '\n  ')}`);
    }
    for (const context of browser.contexts()) await context.close();
  }
  await browser.close();
  console.log(`${Object.keys(tests).length - failed} of ${Object.keys(tests).length} tests of the page passed`);
  process.exit(failed ? 1 : 0);
})();
