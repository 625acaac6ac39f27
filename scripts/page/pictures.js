// Pictures of the page for the documents. Small: at most 300 kB each.
'use strict';

const path = require('node:path');
const { chromium } = require('playwright-core');

const fs = require('node:fs');

const [work, folder] = process.argv.slice(2);
const page = path.join(work, 'home.html');
const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

// Name, width, height, colours, what is done before.
const PICTURES = [
  ['page', 1280, 1000, 'light', async () => {}],
  ['page-site', 1280, 1000, 'dark', (window) => window.click('#sites-table tbody button >> nth=1')],
  ['page-narrow', 390, 844, 'light', async () => {}],
];

// Text with the colours of a terminal as markup: bold, dim, and the eight colours.
function markup(text) {
  const colours = ['#5c6b77', '#e0686b', '#7ccf8f', '#e0b457', '#6cb6ea', '#c08be0', '#63cdd1', '#d8e2ea'];
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  let open = 0;
  const html = escaped.replace(/\x1b\[([\d;]*)m/g, (_, codes) => {
    const styles = [];
    let closed = '';
    for (const code of codes.split(';').map(Number)) {
      if (code === 0 || code === 39 || code === 22) {
        closed += '</span>'.repeat(open);
        open = 0;
      } else if (code === 1) styles.push('font-weight:700');
      else if (code === 2) styles.push('opacity:.6');
      else if (code >= 30 && code < 38) styles.push(`color:${colours[code - 30]}`);
      else if (code >= 90 && code < 98) styles.push(`color:${colours[code - 90]}`);
    }
    if (styles.length === 0) return closed;
    open += 1;
    return `${closed}<span style="${styles.join(';')}">`;
  });
  return `<body style="margin:0;background:#10181f;color:#d8e2ea"><pre style="display:inline-block;margin:0;padding:22px 26px;` +
    `font:14px/1.35 'DejaVu Sans Mono',monospace">${html}</pre>`;
}

async function terminal(browser) {
  const file = path.join(work, 'terminal.txt');
  if (!fs.existsSync(file)) return;
  const window = await browser.newPage({ viewport: { width: 1000, height: 600 } });
  await window.setContent(markup(fs.readFileSync(file, 'utf8').trimEnd()));
  await window.locator('pre').screenshot({ path: path.join(folder, 'report.png') });
  console.log(path.join(folder, 'report.png'));
}

(async () => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ARGS });
  for (const [name, width, height, colorScheme, before] of PICTURES) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme, locale: 'en-GB', reducedMotion: 'reduce' });
    const window = await context.newPage();
    await window.goto(`file://${page}`);
    await before(window);
    await window.screenshot({ path: path.join(folder, `${name}.png`) });
    await context.close();
    console.log(path.join(folder, `${name}.png`));
  }
  await terminal(browser);
  await browser.close();
})();
