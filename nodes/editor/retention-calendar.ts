import type { Translate } from './validators.ts';

/** What a policy leaves day by day; see `RetentionCalendar` in the library. */
export interface RetentionCalendar {
  readonly dates: readonly string[];
  readonly stored: readonly number[];
  readonly fates: readonly (readonly DayFate[])[];
}

interface DayFate {
  readonly from: number;
  readonly sets: number;
  readonly rule?: string;
}

const SVG = 'http://www.w3.org/2000/svg';
/** Side of the square of a day, and what lies between two, in units of the picture. */
const DAY = 10;
const STEP = 12;
/** Weeks that stand side by side: more would be too small to see in a form. */
const BAND = 30;
/** Above the squares of a band stand its months, below the last one the curve. */
const TOP = 14;
const BAND_HEIGHT = TOP + 7 * STEP + 6;
const CURVE = 36;
const WIDTH = BAND * STEP - (STEP - DAY);
const DAY_MS = 86_400_000;
const RULES = ['last', 'within', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'];

/**
 * A picture of what a policy leaves: a square for each day with the rule that keeps its set, and a curve of how many
 * there are. A slider goes through the days. Colours come from the stylesheet, which follows the editor's theme.
 */
export function retentionCalendar(calendar: RetentionCalendar, text: Translate): HTMLElement {
  const { dates, stored } = calendar;
  const last = dates.length - 1;
  const picture = new Picture(calendar, text);
  const slider = document.createElement('input');
  Object.assign(slider, { type: 'range', min: '0', max: String(last), step: '1', value: String(last) });
  slider.setAttribute('aria-label', text('calendar.day'));
  const day = document.createElement('div');
  day.className = 'dbackup-calendar-day';
  const show = () => {
    const shown = Number(slider.value);
    picture.show(shown);
    day.textContent = text('calendar.on', { date: dates[shown] ?? '', sets: stored[shown] ?? 0 });
  };
  // The form must not take it for a setting that has changed.
  for (const event of ['input', 'change']) {
    slider.addEventListener(event, (happened) => {
      happened.stopPropagation();
      show();
    });
  }
  show();
  const element = document.createElement('div');
  element.className = 'dbackup-calendar';
  element.append(picture.element, slider, day, legend(calendar, text));
  return element;
}

class Picture {
  readonly element: SVGElement;
  readonly #calendar: RetentionCalendar;
  readonly #text: Translate;
  readonly #days: SVGElement[] = [];
  readonly #mark: SVGElement;

  constructor(calendar: RetentionCalendar, text: Translate) {
    this.#calendar = calendar;
    this.#text = text;
    const { dates } = calendar;
    const bands = placeOf(calendar, dates.length - 1).band + 1;
    const height = bands * BAND_HEIGHT + CURVE;
    const month = new Intl.DateTimeFormat(undefined, { month: 'short', timeZone: 'UTC' });
    this.element = drawn('svg', { viewBox: `0 0 ${WIDTH} ${height}`, role: 'img' });
    this.element.setAttribute('aria-label', text('calendar.label'));
    for (const [index, date] of dates.entries()) {
      const { x, y, top, column } = placeOf(calendar, index);
      // A month that begins in the last column would be cut off.
      if (date.endsWith('-01') && column < BAND - 1) {
        this.#write(x, top, date.endsWith('-01-01') ? date.slice(0, 4) : month.format(new Date(date)));
      }
      const square = drawn('rect', { x, y, width: DAY, height: DAY, rx: 1.5 });
      square.append(drawn('title', {}));
      this.#days.push(square);
      this.element.append(square);
    }
    this.#drawCurve(height);
    this.#mark = drawn('line', { class: 'dbackup-calendar-mark', y1: height - CURVE, y2: height });
    this.element.append(this.#mark);
  }

  /** Shows what is there at the end of that day. */
  show(day: number): void {
    const { dates, fates } = this.#calendar;
    for (const [index, square] of this.#days.entries()) {
      const fate = fates[index]?.findLast(({ from }) => from <= day);
      const kind = index > day ? 'later' : (fate?.rule ?? 'gone');
      square.setAttribute('class', `dbackup-keep-${kind}`);
      const rule = this.#text(`calendar.rules.${kind}`);
      const title = square.firstElementChild;
      if (title !== null) title.textContent = index > day ? (dates[index] ?? '') : `${dates[index]}: ${rule}`;
    }
    const x = this.#x(day);
    this.#mark.setAttribute('x1', String(x));
    this.#mark.setAttribute('x2', String(x));
  }

  #drawCurve(height: number): void {
    const { stored } = this.#calendar;
    const most = Math.max(1, ...stored);
    const points = stored.map((count, day) => `${this.#x(day)},${height - (count / most) * (CURVE - 2)}`);
    const area = `0,${height} ${points.join(' ')} ${WIDTH},${height}`;
    this.element.append(
      drawn('polygon', { class: 'dbackup-calendar-area', points: area }),
      drawn('polyline', { class: 'dbackup-calendar-curve', points: points.join(' ') }),
      drawn('line', { class: 'dbackup-calendar-axis', x1: 0, x2: WIDTH, y1: height, y2: height }),
    );
  }

  #write(x: number, y: number, label: string): void {
    const written = drawn('text', { x, y });
    written.textContent = label;
    this.element.append(written);
  }

  #x(day: number): number {
    return (day / Math.max(1, this.#calendar.dates.length - 1)) * WIDTH;
  }
}

interface Place {
  readonly band: number;
  readonly column: number;
  readonly x: number;
  readonly y: number;
  /** Where the months of its band are written. */
  readonly top: number;
}

/** Weeks are columns that begin on Monday. */
function placeOf({ dates }: RetentionCalendar, index: number): Place {
  const first = Date.parse(`${dates[0]}T00:00:00Z`);
  const offset = (new Date(first).getUTCDay() + 6) % 7;
  const days = Math.round((Date.parse(`${dates[index]}T00:00:00Z`) - first) / DAY_MS) + offset;
  const week = Math.floor(days / 7);
  const band = Math.floor(week / BAND);
  const column = week % BAND;
  const y = band * BAND_HEIGHT + TOP;
  return { band, column, x: column * STEP, y: y + (days % 7) * STEP, top: y - 4 };
}

/** The rules that keep something on any day, and what is removed. */
function legend({ fates }: RetentionCalendar, text: Translate): HTMLElement {
  const used = new Set(fates.flat().map(({ rule }) => rule));
  const element = document.createElement('div');
  element.className = 'dbackup-calendar-legend';
  for (const kind of [...RULES.filter((rule) => used.has(rule)), 'gone']) {
    const square = drawn('svg', { viewBox: `0 0 ${DAY} ${DAY}`, 'aria-hidden': 'true' });
    square.append(drawn('rect', { class: `dbackup-keep-${kind}`, width: DAY, height: DAY, rx: 1.5 }));
    const entry = document.createElement('span');
    entry.append(square, document.createTextNode(text(`calendar.rules.${kind}`)));
    element.append(entry);
  }
  return element;
}

function drawn(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const element = document.createElementNS(SVG, name) as SVGElement;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
