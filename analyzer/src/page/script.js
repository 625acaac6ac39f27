'use strict';
// The page is whole without this. It sorts, searches, narrows to a time, compares, and opens what a
// site or a device is made of. Names come from strangers: they become text, never markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const SVG = 'http://www.w3.org/2000/svg';
  const HEIGHT = 1000;
  const COLOURED = 5;
  const SHADES = 6;

  // Builds an element: attributes, then children (text or elements).
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    return fill(element, attributes, children);
  }
  function draw(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }
  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name === 'onclick') element.addEventListener('click', value);
      else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
    return element;
  }

  // ---- Numbers and dates, as the reader's language writes them

  const whole = new Intl.NumberFormat();
  const three = new Intl.NumberFormat(undefined, { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
  const percents = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 1 });
  const changes = new Intl.NumberFormat(undefined, {
    style: 'percent', maximumFractionDigits: 0, signDisplay: 'exceptZero',
  });
  const isDecimal = document.documentElement.dataset.units === 'decimal';
  const UNITS = isDecimal ? ['kB', 'MB', 'GB', 'TB', 'PB', 'EB'] : ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  const FACTOR = isDecimal ? 1000 : 1024;

  function bytes(n) {
    if (n < 1000) return `${whole.format(n)} B`;
    let value = n / FACTOR;
    let unit = 0;
    while (value >= 999.5 && unit < UNITS.length - 1) {
      value /= FACTOR;
      unit += 1;
    }
    return `${three.format(value)} ${UNITS[unit]}`;
  }
  function share(part, of) {
    if (!of) return '';
    if (part > 0 && part / of < 0.0005) return `<${percents.format(0.001)}`;
    if (part < of && part / of >= 0.9995) return `>${percents.format(0.999)}`;
    return percents.format(part / of);
  }

  // Texts of times are local already: they are read and written as if they were of UTC.
  const dates = (options) => new Intl.DateTimeFormat(undefined, { timeZone: 'UTC', ...options });
  const ofDay = dates({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' });
  const ofShortDay = dates({ day: 'numeric', month: 'short' });
  const ofHour = dates({ weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
  const ofShortHour = dates({ day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
  const ofMonth = dates({ month: 'long', year: 'numeric' });
  const ofShortMonth = dates({ month: 'short', year: 'numeric' });
  const ofWeekday = dates({ weekday: 'short' });

  // The first instant of a time as reports call it; null for what is none.
  function instant(text) {
    const week = /^(\d{4})-W(\d\d)$/.exec(text);
    if (week) {
      // The week of ISO 8601 that holds 4 January is the first.
      const fourth = new Date(Date.UTC(Number(week[1]), 0, 4));
      const monday = fourth.getTime() - ((fourth.getUTCDay() + 6) % 7) * 864e5;
      return new Date(monday + (Number(week[2]) - 1) * 6048e5);
    }
    const found = /^(\d{4})-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d))?)?/.exec(text);
    if (!found) return null;
    const [year, month, day, hour, minute] = found.slice(1).map((part) => Number(part ?? 0));
    return new Date(Date.UTC(year, month - 1, day || 1, hour, minute));
  }
  function when(text, unit, short = false) {
    const at = instant(text);
    if (!at) return text;
    switch (unit) {
      case 'hour': return (short ? ofShortHour : ofHour).format(at);
      case 'month': return (short ? ofShortMonth : ofMonth).format(at);
      case 'week': return short ? ofShortDay.format(at) : `${ofDay.format(at)} (${text})`;
      default: return (short ? ofShortDay : ofDay).format(at);
    }
  }

  function localise(root) {
    for (const data of root.querySelectorAll('data.b')) data.textContent = bytes(Number(data.value));
    for (const data of root.querySelectorAll('data.i')) data.textContent = whole.format(Number(data.value));
  }
  const size = (n) => make('data', { class: 'b', value: n }, bytes(n));

  // ---- Tables: sorted by their headings, searched by a field above them

  const searched = new WeakMap();

  // Rows that are shown at first, where there are many; a search looks in all.
  const AT_FIRST = 25;

  function sortable(table) {
    const headings = [...table.tHead.rows[0].cells];
    const largest = headings.findIndex((heading) => heading.textContent === 'total');
    const state = { column: table.dataset.ranked === undefined ? -1 : largest, down: true, text: '', all: false };
    const section = table.closest('section') ?? table.parentElement;
    const status = make('span', { class: 'quiet', role: 'status' });
    headings.forEach((heading, column) => {
      if (heading.classList.contains('bar') || !heading.textContent) return;
      const button = make('button', { type: 'button' }, ...heading.childNodes);
      heading.append(button);
      heading.setAttribute('aria-sort', 'none');
      button.addEventListener('click', () => {
        const isNumber = heading.classList.contains('n');
        state.down = state.column === column ? !state.down : isNumber;
        state.column = column;
        apply();
      });
    });
    const label = `Search ${table.closest('[aria-label]')?.getAttribute('aria-label').toLowerCase() ?? ''}`;
    const search = make('input', { type: 'search', placeholder: 'Search', 'aria-label': label, autocomplete: 'off' });
    search.addEventListener('input', () => {
      state.text = search.value.trim().toLowerCase();
      apply();
    });
    let head = section.querySelector('.head');
    if (!head) {
      head = make('div', { class: 'head' });
      section.prepend(head);
    }
    head.append(status, search);
    const all = make('button', { type: 'button', class: 'all', hidden: true });
    all.addEventListener('click', () => {
      state.all = !state.all;
      apply();
    });
    (table.closest('.scroll') ?? table).after(all);

    const key = (row) => {
      const cell = row.cells[state.column];
      const data = cell?.querySelector('data');
      if (data) return Number(data.value);
      const text = cell?.textContent.trim() ?? '';
      return headings[state.column].classList.contains('n') ? Number.parseFloat(text) || -1 : text;
    };
    const compare = (a, b) => (typeof a === 'number' && typeof b === 'number'
      ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
    function apply() {
      const body = table.tBodies[0];
      const rows = [...body.rows];
      if (state.column >= 0) {
        const usual = rows.filter((row) => !row.classList.contains('rest')).map((row) => [key(row), row]);
        usual.sort((a, b) => (state.down ? compare(b[0], a[0]) : compare(a[0], b[0])));
        body.append(...usual.map(([, row]) => row), ...rows.filter((row) => row.classList.contains('rest')));
        headings.forEach((heading, column) => {
          if (!heading.hasAttribute('aria-sort')) return;
          const here = state.down ? 'descending' : 'ascending';
          heading.setAttribute('aria-sort', column === state.column ? here : 'none');
        });
      }
      let found = 0;
      const isMany = rows.length > AT_FIRST + 5;
      for (const row of body.rows) {
        const text = searched.get(row) ?? row.textContent.toLowerCase();
        const isRest = row.classList.contains('rest');
        const fits = state.text ? !isRest && text.includes(state.text) : isRest || state.all || !isMany || found < AT_FIRST;
        row.hidden = !fits;
        found += fits ? 1 : 0;
      }
      status.textContent = state.text ? `${whole.format(found)} found` : '';
      all.hidden = !isMany || state.text !== '';
      all.textContent = state.all ? 'Show the first only' : `Show all ${whole.format(rows.length)}`;
    }
    apply();
    return apply;
  }

  // ---- What is shown beside the pointer

  const tip = byId('tip') ?? document.body.appendChild(make('div', { id: 'tip', hidden: true }));
  tip.removeAttribute('role');
  tip.setAttribute('aria-hidden', 'true');
  const tipped = (target) => target.closest?.('[data-tip]');
  function showTip(target, x, y) {
    tip.textContent = target.dataset.tip;
    // In front of a dialog only what is inside it is seen.
    (target.closest('dialog') ?? document.body).append(tip);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 12) : y + 18}px`;
  }
  document.addEventListener('pointermove', (event) => {
    const target = tipped(event.target);
    if (target) showTip(target, event.clientX, event.clientY);
    else tip.hidden = true;
  });
  document.addEventListener('focusin', (event) => {
    const target = tipped(event.target);
    tip.hidden = true;
    if (!target || !target.matches(':focus-visible')) return;
    const box = target.getBoundingClientRect();
    showTip(target, box.left + box.width / 2, Math.min(box.top + 20, box.bottom));
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') tip.hidden = true;
  });

  // One of many points has the focus; the arrow keys hand it on.
  function roving(root, points, across) {
    points.forEach((point, nth) => point.setAttribute('tabindex', nth === 0 ? '0' : '-1'));
    root.addEventListener('keydown', (event) => {
      const at = points.indexOf(document.activeElement);
      const steps = {
        ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across,
        Home: -at, End: points.length - 1 - at,
      };
      const to = points[at + steps[event.key]];
      if (at < 0 || !to) return;
      event.preventDefault();
      points.forEach((point) => point.setAttribute('tabindex', point === to ? '0' : '-1'));
      to.focus();
    });
  }

  localise(document);
  const source = byId('data');
  if (!source) {
    document.querySelectorAll('table.list').forEach(sortable);
    return;
  }

  // ---- The numbers

  const data = JSON.parse(source.textContent);
  const { unit, block_unit: blockUnit, times, blocks, begins, kinds, hosts } = data;

  // Numbers by place: base 36, `.n` for n zeros.
  function numbers(text, length) {
    const list = new Float64Array(length);
    let at = 0;
    for (const part of text ? text.split(' ') : []) {
      if (part[0] === '.') at += Number.parseInt(part.slice(1), 36);
      else list[at++] = Number.parseInt(part, 36);
    }
    return list;
  }
  const sum = (list, from, to) => {
    let total = 0;
    for (let at = from; at < to; at += 1) total += list[at];
    return total;
  };
  function read(subject, nth, kind) {
    const of = (text) => numbers(text, blocks.length);
    const parts = (list) => (list ?? []).map(([name, text, count]) => ({
      name, count: count ?? 1, list: numbers(text, blocks.length),
    }));
    return {
      nth, kind, name: subject.n, key: subject.key ?? subject.n, called: subject.c,
      total: numbers(subject.t, times.length), up: of(subject.u), shared: of(subject.s), elsewhere: of(subject.e),
      kinds: parts(subject.k), hosts: parts(subject.h), devices: parts(subject.d),
    };
  }
  const sites = data.sites.list.map((one, nth) => read(one, nth, 'site'));
  const devices = data.devices.list.map((one, nth) => read(one, nth, 'device'));
  const restOf = (of, kind) => (of.rest ? read(of.rest, -1, kind) : null);
  const rest = { site: restOf(data.sites, 'site'), device: restOf(data.devices, 'device') };
  const restCount = { site: data.sites.rest_count, device: data.devices.rest_count };
  const everySite = rest.site ? [...sites, rest.site] : sites;
  const everything = new Float64Array(times.length);
  for (const site of everySite) site.total.forEach((n, at) => { everything[at] += n; });

  // The blocks from..to, both included; what they are compared with has the same form or is null.
  const state = { from: 0, to: blocks.length - 1, compare: '' };
  const timesOf = ({ from, to }) => [begins[from], to + 1 < blocks.length ? begins[to + 1] : times.length];
  const isAll = () => state.from === 0 && state.to === blocks.length - 1;

  function compared() {
    const length = state.to - state.from + 1;
    const week = { hour: 168, day: 7, week: 1 }[blockUnit];
    const back = state.compare === 'before' ? length : week;
    if (!state.compare || !back || state.from - back < 0) return null;
    return { from: state.from - back, to: state.to - back };
  }
  function amounts(subject, range) {
    const [from, to] = timesOf(range);
    const total = sum(subject.total, from, to);
    const ofBlocks = (list) => sum(list, range.from, range.to + 1);
    const up = ofBlocks(subject.up);
    return { total, up, down: total - up, low: total - ofBlocks(subject.shared), high: total + ofBlocks(subject.elsewhere) };
  }
  const partSum = (part, range) => sum(part.list, range.from, range.to + 1);
  function evidence(subjects, range) {
    const found = new Float64Array(kinds.length);
    for (const subject of subjects) {
      for (const part of subject.kinds) found[part.name] += partSum(part, range);
    }
    return found;
  }
  const rangeText = ({ from, to }) => (from === to
    ? when(blocks[from], blockUnit) : `${when(blocks[from], blockUnit)} – ${when(blocks[to], blockUnit)}`);
  function change(now, before) {
    if (before === 0) return now > 0 ? 'new' : '';
    return changes.format((now - before) / before);
  }

  // ---- Drawings

  function nice(n) {
    const steps = isDecimal ? [1, 2, 5, 10, 20, 50, 100, 200, 500]
      : [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768];
    for (let power = 1; power < 2 ** 60; power *= FACTOR) {
      const step = steps.find((one) => one * power >= n);
      if (step) return step * power;
    }
    return n;
  }

  // Columns: each has a text, parts [class, bytes], perhaps what it is compared with, and what a
  // choice of it does.
  function chart(columns, label) {
    const top = nice(Math.max(1, ...columns.map((one) => Math.max(sum(one.parts.map((p) => p[1]), 0, one.parts.length),
      one.then ?? 0))));
    const scaled = (n) => (n / top) * HEIGHT;
    const svg = draw('svg', {
      viewBox: `0 0 ${Math.max(1, columns.length) * 10} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'group', 'aria-label': label,
    });
    const points = columns.map((one, nth) => {
      const total = one.parts.reduce((all, part) => all + part[1], 0);
      const lines = one.parts.filter((part) => part[1] > 0 && part[2]).map((part) => `${part[2]} ${bytes(part[1])}`);
      const then = one.then === undefined ? [] : [`before: ${bytes(one.then)}`];
      const said = [`${one.text}: ${total ? bytes(total) : 'nothing'}`, ...then, ...lines];
      const group = draw('g', { role: one.choose ? 'button' : 'img', 'aria-label': said.join('; '), 'data-tip': said.join('\n') },
        draw('rect', { class: 'hit', x: nth * 10, y: 0, width: 10, height: HEIGHT }));
      let below = 0;
      for (const [name, n] of one.parts) {
        const height = scaled(n);
        if (height > 0) {
          const drawn = height > 8 ? height - 4 : height;
          group.append(draw('rect', { class: name, x: nth * 10 + 1, y: HEIGHT - scaled(below) - height, width: 8, height: drawn }));
        }
        below += n;
      }
      if (one.then !== undefined) {
        group.classList.add('was');
        group.append(draw('rect', { class: 'then', x: nth * 10, y: Math.max(0, HEIGHT - scaled(one.then) - 5), width: 10, height: 10 }));
      }
      if (one.choose) {
        group.addEventListener('click', one.choose);
        group.addEventListener('keydown', (event) => {
          if (event.key !== 'Enter' && event.key !== ' ') return;
          event.preventDefault();
          one.choose();
        });
      }
      return group;
    });
    svg.append(...points);
    roving(svg, points, 1);
    const last = columns.length - 1;
    const steps = Math.min(last, 5);
    const marks = [...new Set(Array.from({ length: steps + 1 }, (_, step) => (steps ? Math.floor((last * step) / steps) : 0)))];
    return {
      svg,
      y: [top, top / 2, 0].map((n) => make('span', {}, bytes(n))),
      x: marks.filter((at) => columns[at]).map((at) => make('span', {}, columns[at].short)),
    };
  }
  function plot(drawn) {
    return make('div', { class: 'plot' }, make('div', { class: 'y', 'aria-hidden': 'true' }, ...drawn.y), drawn.svg,
      make('div', { class: 'x', 'aria-hidden': 'true' }, ...drawn.x));
  }

  // Where a range has few blocks its times are drawn.
  function steps(range) {
    const [from, to] = timesOf(range);
    const fine = unit !== blockUnit && range.to - range.from < 3;
    if (fine) {
      return Array.from({ length: to - from }, (_, nth) => ({
        from: from + nth, to: from + nth + 1, text: when(times[from + nth], unit), short: when(times[from + nth], unit, true),
      }));
    }
    return Array.from({ length: range.to - range.from + 1 }, (_, nth) => {
      const at = range.from + nth;
      const [first, after] = timesOf({ from: at, to: at });
      return { from: first, to: after, block: at, text: when(blocks[at], blockUnit), short: when(blocks[at], blockUnit, true) };
    });
  }

  // Cells of a calendar: hours of a day across, or weeks.
  function calendar(list, range) {
    if (unit !== 'hour' && unit !== 'day') return null;
    const [first, after] = timesOf(range);
    const rows = new Map();
    const columns = new Map();
    times.forEach((text, at) => {
      const day = instant(text);
      if (!day) return;
      const ofHours = unit === 'hour';
      const weekday = (day.getUTCDay() + 6) % 7;
      const row = ofHours ? text.slice(0, 10) : weekday;
      const column = ofHours ? day.getUTCHours() : Math.floor((day.getTime() / 864e5 + 3) / 7);
      if (!columns.has(column)) columns.set(column, ofHours ? String(column).padStart(2, '0') : ofShortDay.format(day));
      if (!rows.has(row)) rows.set(row, { name: ofHours ? ofShortDay.format(day) : ofWeekday.format(day), cells: new Map() });
      const cell = rows.get(row).cells.get(column) ?? { n: 0, at, inside: at >= first && at < after };
      cell.n += list[at];
      rows.get(row).cells.set(column, cell);
    });
    if (unit === 'hour') for (let hour = 0; hour < 24; hour += 1) columns.set(hour, String(hour).padStart(2, '0'));
    const order = [...columns.keys()].sort((a, b) => a - b);
    const lines = unit === 'hour' ? [...rows.values()] : [...rows.entries()].sort((a, b) => a[0] - b[0]).map((row) => row[1]);
    let most = 0;
    for (const line of lines) for (const cell of line.cells.values()) most = Math.max(most, cell.n);
    const shade = (n) => (n > 0 ? Math.max(1, Math.ceil(Math.sqrt(n / most) * SHADES)) : 0);
    const points = [];
    const table = make('table', { class: unit === 'day' ? 'heat days' : 'heat' },
      make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, unit === 'day' ? 'week' : 'day'),
        ...order.map((column) => make('th', { scope: 'col' }, make('span', {}, columns.get(column)))))),
      make('tbody', {}, ...lines.map((line) => make('tr', {}, make('th', { scope: 'row' }, line.name), ...order.map((column) => {
        const cell = line.cells.get(column);
        if (!cell) return make('td');
        const point = make('td', {
          class: `h${shade(cell.n)}${cell.inside ? '' : ' out'}`, 'data-tip': `${when(times[cell.at], unit)}: ${bytes(cell.n)}`,
        }, bytes(cell.n));
        points.push(point);
        return point;
      })))));
    roving(table, points, unit === 'hour' ? 24 : lines.length ? Math.ceil(points.length / lines.length) : 1);
    return table;
  }

  function bar({ low, total, high }, most) {
    const percent = (n) => `${most ? ((n / most) * 100).toFixed(2) : 0}%`;
    const svg = draw('svg', { class: 'bar', 'aria-hidden': 'true' }, draw('rect', { width: percent(low), height: '100%' }));
    if (most && (high - low) / most > 0.005) {
      svg.append(draw('rect', { class: 'doubt', x: percent(low), width: percent(high - low), height: '100%' }),
        draw('rect', { class: 'line', x: percent(total), width: 2, height: '100%' }));
    }
    return svg;
  }
  const isRanged = ({ low, high }) => high - low > Math.floor(high / 100);

  function trustBar(found) {
    const sums = [0, 0, 0, 0, 0];
    kinds.forEach((kind, nth) => { sums[kind[2]] += found[nth]; });
    const all = sums.reduce((a, b) => a + b, 0);
    let from = 0;
    const rects = sums.map((n, nth) => {
      const rect = draw('rect', { class: `t${nth}`, x: `${all ? (from / all) * 100 : 0}%`, width: `${all ? (n / all) * 100 : 0}%`, height: '100%' });
      from += n;
      return n > 0 ? rect : null;
    });
    return { sums, all, rects: rects.filter(Boolean) };
  }
  function namedBy(found) {
    const all = found.reduce((a, b) => a + b, 0);
    const list = [...found].map((n, nth) => [n, nth]).filter(([n]) => n > 0).sort((a, b) => b[0] - a[0]);
    if (list.length === 1) return kinds[list[0][1]][1];
    const texts = list.slice(0, 2).map(([n, nth]) => `${kinds[nth][1]} ${share(n, all)}`);
    if (list.length > 2) texts.push(`${list.length - 2} more`);
    return texts.join(', ');
  }
  const trustWords = new Map([...document.querySelectorAll('#sure-legend li')].map((item) => [
    Number(item.querySelector('i').className.slice(1)), item.childNodes[1].textContent.trim()]));

  // ---- The parts of the page

  function renderSummary(range, then) {
    const now = { total: 0, up: 0 };
    let before = 0;
    const seen = { site: 0, device: 0 };
    for (const site of everySite) {
      const { total, up } = amounts(site, range);
      now.total += total;
      now.up += up;
      if (site.nth >= 0 && total > 0) seen.site += 1;
      if (then) before += amounts(site, then).total;
    }
    for (const device of devices) if (amounts(device, range).total > 0) seen.device += 1;
    byId('total').replaceChildren(size(now.total));
    byId('down').replaceChildren(size(now.total - now.up));
    byId('up').replaceChildren(size(now.up));
    byId('total-change').textContent = then ? `${change(now.total, before)} (before: ${bytes(before)})` : '';
    if (isAll()) {
      seen.site = sites.length + restCount.site;
      seen.device = devices.length + restCount.device;
    }
    const more = (kind) => (!isAll() && restCount[kind] > 0 ? '+' : '');
    byId('site-count').textContent = whole.format(seen.site) + more('site');
    byId('device-count').textContent = whole.format(seen.device) + more('device');
    const [first, after] = timesOf(range);
    let most = first;
    for (let at = first; at < after; at += 1) if (everything[at] > everything[most]) most = at;
    byId('busiest')?.replaceChildren(`${when(times[most], unit)}: `, size(everything[most]));
    const { sums, all, rects } = trustBar(evidence(everySite, range));
    byId('sure').replaceChildren(...rects);
    byId('sure-legend').replaceChildren(...sums.map((n, nth) => (n > 0
      ? make('li', {}, make('i', { class: `t${nth}` }), `${trustWords.get(nth)} `, make('b', {}, share(n, all))) : null)).filter(Boolean));
  }

  function renderChart(range, then) {
    const largest = sites.map((site) => [amounts(site, range).total, site]).filter(([n]) => n > 0)
      .sort((a, b) => b[0] - a[0]).slice(0, COLOURED).map(([, site]) => site);
    const columns = steps(range);
    const earlier = then ? steps(then) : [];
    for (const [nth, column] of columns.entries()) {
      const parts = largest.map((site, place) => [`c${place}`, sum(site.total, column.from, column.to), site.name]);
      const total = sum(everything, column.from, column.to);
      const others = Math.max(0, total - parts.reduce((all, part) => all + part[1], 0));
      column.parts = [...parts, [`c${COLOURED}`, others, 'all others']];
      if (then) column.then = earlier[nth] ? sum(everything, earlier[nth].from, earlier[nth].to) : 0;
      if (column.block !== undefined && columns.length > 1) {
        column.choose = () => {
          choose(column.block, column.block);
          byId('range-all').focus();
        };
      }
    }
    const drawn = chart(columns, 'Bytes over time. The arrow keys go from one to the next, Enter narrows to it.');
    drawn.svg.id = 'chart';
    byId('chart').replaceWith(drawn.svg);
    byId('y').replaceChildren(...drawn.y);
    byId('x').replaceChildren(...drawn.x);
    const names = [...largest.map((site) => site.name), 'all others'];
    byId('legend').replaceChildren(...names.map((name, nth) => make('li', {},
      make('i', { class: `c${nth === largest.length ? COLOURED : nth}` }), make('bdi', {}, name))));
    const shown = columns[0]?.block === undefined ? unit : blockUnit;
    byId('time-note').textContent = `Bytes by ${shown}, stacked by the largest sites.${then ? ' The line is the time before.' : ''}`;
    const table = byId('time-table');
    table.tHead.replaceChildren(make('tr', {}, make('th', { scope: 'col' }, shown), make('th', { scope: 'col', class: 'n' }, 'total'),
      ...names.map((name) => make('th', { scope: 'col', class: 'n' }, make('bdi', {}, name)))));
    table.tBodies[0].replaceChildren(...columns.map((column) => make('tr', {}, make('th', { scope: 'row' }, column.text),
      make('td', { class: 'n' }, bytes(sum(everything, column.from, column.to))),
      ...column.parts.map((part) => make('td', { class: 'n' }, bytes(part[1]))))));
  }

  function nameOf(subject) {
    const button = make('button', { type: 'button', 'aria-haspopup': 'dialog', onclick: () => open(subject) });
    if (subject.called) button.append(make('bdi', {}, subject.called), ' ');
    button.append(make('bdi', subject.called ? { class: 'quiet' } : {}, subject.name));
    return button;
  }

  function renderTable(kind, range, then) {
    const list = kind === 'site' ? sites : devices;
    const table = byId(`${kind}s-table`);
    const found = list.map((subject) => ({ subject, now: amounts(subject, range) }))
      .filter(({ now }) => now.total > 0 || isAll() || now.high > 0).sort((a, b) => b.now.total - a.now.total);
    const most = Math.max(0, ...found.map(({ now }) => now.high));
    const cells = (now, before, of) => [
      make('td', { class: 'n' }, size(now.total), then ? make('span', { class: 'change' }, ` ${change(now.total, before)}`) : null),
      make('td', { class: 'n wide' }, size(now.down)),
      make('td', { class: 'n wide' }, size(now.up)),
      kind === 'site' ? make('td', { class: 'n wide' }, of && isRanged(now)
        ? make('data', { value: now.high }, `${bytes(now.low)} – ${bytes(now.high)}`) : null) : null,
    ];
    const rows = found.map(({ subject, now }) => {
      const row = make('tr', {}, make('th', { scope: 'row' }, nameOf(subject)), make('td', { class: 'bar' }, bar(now, most)),
        ...cells(now, then ? amounts(subject, then).total : 0, subject),
        make('td', { class: 'wide' }, namedBy(evidence([subject], range))));
      const names = subject.hosts.map((part) => hosts[part.name] ?? '');
      searched.set(row, [subject.name, subject.key, subject.called ?? '', ...names].join(' ').toLowerCase());
      return row;
    });
    const others = rest[kind];
    if (others) {
      const now = amounts(others, range);
      rows.push(make('tr', { class: 'rest' }, make('th', { scope: 'row' }, `${whole.format(restCount[kind])} more`), make('td', { class: 'bar' }),
        ...cells(now, then ? amounts(others, then).total : 0, null), make('td', { class: 'wide' }, namedBy(evidence([others], range)))));
    }
    table.tBodies[0].replaceChildren(...rows);
  }

  // ---- One site or device

  const dialog = byId('detail');

  function partsTable(title, rows, all) {
    if (rows.length === 0) return null;
    const most = Math.max(...rows.map((row) => row.n));
    return make('div', {}, make('h3', {}, title), make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': title },
      make('table', { class: 'list' }, make('tbody', {}, ...rows.map((row) => make('tr', row.rest ? { class: 'rest' } : {},
        make('th', { scope: 'row' }, row.name), make('td', { class: 'bar' }, bar({ low: row.n, total: row.n, high: row.n }, most)),
        make('td', { class: 'n' }, size(row.n)), make('td', { class: 'n' }, share(row.n, all))))))));
  }
  function hostRows(subject, range) {
    return subject.hosts.map((part) => ({
      n: partSum(part, range), rest: part.name < 0,
      name: part.name < 0 ? `${whole.format(part.count)} more` : make('bdi', {}, hosts[part.name]),
    })).filter((row) => row.n > 0).sort((a, b) => (a.rest ? 1 : 0) - (b.rest ? 1 : 0) || b.n - a.n);
  }
  function otherRows(subject, range, all) {
    const rows = subject.kind === 'site'
      ? subject.devices.filter((part) => part.name >= 0).map((part) => ({ n: partSum(part, range), of: devices[part.name] }))
      : sites.map((site) => ({ n: partSum(site.devices.find((part) => part.name === subject.nth) ?? { list: [] }, range) || 0, of: site }));
    const kept = rows.filter((row) => row.n > 0).sort((a, b) => b.n - a.n);
    const shown = kept.slice(0, 12);
    const others = all - shown.reduce((total, row) => total + row.n, 0);
    const list = shown.map((row) => ({ n: row.n, name: nameOf(row.of) }));
    if (others > 0) list.push({ n: others, rest: true, name: 'all others' });
    return list;
  }
  function evidenceList(found, all) {
    return make('dl', { class: 'kinds' }, ...[...found].map((n, nth) => [n, nth]).filter(([n]) => n > 0).sort((a, b) => b[0] - a[0])
      .map(([n, nth]) => make('div', {}, make('dt', {}, make('i', { class: `t${kinds[nth][2]}` }), `${kinds[nth][1]}: ${bytes(n)} (${share(n, all)})`),
        make('dd', {}, byId(`why-${kinds[nth][0]}`)?.textContent ?? ''))));
  }

  function open(subject) {
    const range = { from: state.from, to: state.to };
    const now = amounts(subject, range);
    const found = evidence([subject], range);
    const { rects } = trustBar(found);
    const title = byId('detail-name');
    title.replaceChildren(make('bdi', {}, subject.called ?? subject.name));
    const columns = steps(range);
    for (const column of columns) {
      const total = sum(subject.total, column.from, column.to);
      const shared = column.block === undefined ? 0 : Math.min(total, subject.shared[column.block]);
      column.parts = [['c1', total - shared, shared ? 'certain' : ''], ['doubt', shared, 'could be somebody else’s']];
    }
    const heat = calendar(subject.total, range);
    const all = sum(everything, ...timesOf(range));
    byId('detail-body').replaceChildren(...[
      make('p', { class: 'quiet' }, subject.called ? make('bdi', {}, subject.name) : null, subject.called ? ' · ' : null, rangeText(range)),
      make('p', { class: 'big' }, size(now.total)),
      make('p', {}, `${bytes(now.down)} down, ${bytes(now.up)} up; ${share(now.total, all)} of all`),
      isRanged(now) ? make('p', {}, `Between ${bytes(now.low)} and ${bytes(now.high)}: other sites have the same addresses.`) : null,
      make('h3', {}, 'Over time'), plot(chart(columns, `Bytes of ${subject.name} over time`)),
      heat ? make('div', {}, make('h3', {}, 'Calendar'), make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Calendar of ${subject.name}` }, heat)) : null,
      partsTable('Hosts', hostRows(subject, range), now.total),
      partsTable(subject.kind === 'site' ? 'Devices' : 'Sites', otherRows(subject, range, now.total), now.total),
      make('h3', {}, 'Evidence'), draw('svg', { class: 'sure', 'aria-hidden': 'true' }, ...rects), evidenceList(found, now.total),
    ].filter(Boolean));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    title.focus();
  }
  byId('detail-close').addEventListener('click', () => dialog.close());
  // A click beside it closes it: only the dialog itself reaches from its inside to there.
  dialog.addEventListener('click', (event) => {
    const box = dialog.getBoundingClientRect();
    if (event.target === dialog && event.clientX < box.left) dialog.close();
  });
  dialog.addEventListener('close', () => {
    document.body.append(tip);
    tip.hidden = true;
  });

  // ---- Range and comparison

  const first = byId('from');
  const last = byId('to');
  function choose(from, to) {
    state.from = Math.min(from, to);
    state.to = Math.max(from, to);
    render();
  }
  function showRange() {
    const most = Math.max(1, blocks.length - 1);
    [first.value, last.value] = [state.from, state.to];
    first.setAttribute('aria-valuetext', when(blocks[state.from], blockUnit));
    last.setAttribute('aria-valuetext', when(blocks[state.to], blockUnit));
    byId('range-text').textContent = rangeText(state);
    const chosen = byId('chosen');
    chosen.style.left = `${(state.from / most) * 100}%`;
    chosen.style.width = `${((state.to - state.from) / most) * 100}%`;
    byId('range-all').disabled = isAll();
    // The one that can move lies on top where both are at the same end.
    first.style.zIndex = state.from > most / 2 ? 2 : 1;
    last.style.zIndex = state.from > most / 2 ? 1 : 2;
  }

  const tables = {};
  function render() {
    const range = { from: state.from, to: state.to };
    const then = compared();
    showRange();
    const missing = state.compare && !then ? 'that time is not in this page: choose a shorter or later one' : '';
    byId('compare-text').textContent = then ? rangeText(then) : missing;
    renderSummary(range, then);
    renderChart(range, then);
    const heat = byId('heat');
    const drawn = heat && calendar(everything, range);
    if (drawn) {
      drawn.id = 'heat';
      heat.replaceWith(drawn);
    }
    for (const kind of ['site', 'device']) {
      renderTable(kind, range, then);
      tables[kind]?.();
    }
  }

  tables.site = sortable(byId('sites-table'));
  tables.device = sortable(byId('devices-table'));
  if (blocks.length > 1) {
    byId('controls').hidden = false;
    for (const input of [first, last]) input.max = blocks.length - 1;
    first.addEventListener('input', () => choose(Math.min(Number(first.value), state.to), state.to));
    last.addEventListener('input', () => choose(state.from, Math.max(Number(last.value), state.from)));
    byId('range-all').addEventListener('click', () => choose(0, blocks.length - 1));
    byId('compare').addEventListener('change', (event) => {
      state.compare = event.target.value;
      render();
    });
    if (blockUnit === 'month') byId('compare').querySelector('[value=week]').remove();
  }
  if (blocks.length > 0) render();
})();
