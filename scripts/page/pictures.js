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

// Text with the colours of a terminal as markup: bold, dim, reversed, and the eight colours, also by their number of 256.
function markup(text) {
  const colours = ['#5c6b77', '#e0686b', '#7ccf8f', '#e0b457', '#6cb6ea', '#c08be0', '#63cdd1', '#d8e2ea'];
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  let state = {};
  const html = escaped.split(/(\x1b\[[\d;]*m)/).map((part) => {
    const codes = /^\x1b\[([\d;]*)m$/.exec(part);
    if (!codes) {
      const style = Object.values(state).join(';');
      return style ? `<span style="${style}">${part}</span>` : part;
    }
    for (const code of codes[1].replace(/\b38;5;([0-7])\b/g, '3$1').split(';').map(Number)) {
      if (code === 0) state = {};
      else if (code === 1) state.bold = 'font-weight:700';
      else if (code === 2) state.dim = 'opacity:.6';
      else if (code === 7) state.reversed = 'background:#d8e2ea;color:#10181f';
      else if (code === 22) delete state.bold, delete state.dim;
      else if (code === 27) delete state.reversed;
      else if (code === 39) delete state.colour;
      else if (code >= 30 && code < 38) state.colour = `color:${colours[code - 30]}`;
      else if (code >= 90 && code < 98) state.colour = `color:${colours[code - 90]}`;
    }
    return '';
  }).join('');
  return `<body style="margin:0;background:#10181f;color:#d8e2ea"><pre style="display:inline-block;margin:0;padding:22px 26px;` +
    `font:14px/1.35 'DejaVu Sans Mono',monospace">${html}</pre>`;
}

// A screen of a terminal, from the file that has its text.
async function terminal(browser, text, picture) {
  const file = path.join(work, text);
  if (!fs.existsSync(file)) return;
  const window = await browser.newPage({ viewport: { width: 1000, height: 600 } });
  await window.setContent(markup(fs.readFileSync(file, 'utf8').trimEnd()));
  await window.locator('pre').screenshot({ path: path.join(folder, picture) });
  console.log(path.join(folder, picture));
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
  await terminal(browser, 'terminal.txt', 'report.png');
  await terminal(browser, 'now.txt', 'top.png');
  await browser.close();
})();
