/**
 * When the local times of a time zone are, found out in another way than lib/schedule does: by trying every quarter of
 * an hour. Good for zones and years whose clocks change at full quarters.
 */
export interface ZoneOracle {
  /** Every instant at which the local clocks show this time: none, one, or two. Local times as UTC would have them. */
  instantsOf(local: number): number[];
  /** The first instant after a gap that this local time lies in. */
  afterGap(local: number): number;
}

interface Segment {
  readonly from: number;
  readonly to: number;
  readonly offset: number;
}

const STEP_MS = 15 * 60_000;

export function zoneOracle(zone: string, from: number, to: number): ZoneOracle {
  const segments = segmentsOf(zone, from, to);
  return {
    instantsOf: (local) =>
      segments
        .map((segment) => ({ segment, instant: local - segment.offset }))
        .filter(({ segment, instant }) => instant >= segment.from && instant < segment.to)
        .map(({ instant }) => instant),
    afterGap(local) {
      const next = segments.find((segment) => segment.from + segment.offset > local);
      if (next === undefined) throw new Error('There is no gap');
      return next.from;
    },
  };
}

function segmentsOf(zone: string, from: number, to: number): Segment[] {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
  const offsetAt = (instant: number) => {
    const name = format.formatToParts(instant).find(({ type }) => type === 'timeZoneName')?.value ?? '';
    const match = /^GMT(?:([+-])(\d\d):(\d\d))?$/.exec(name);
    if (match === null) throw new Error(`Not an offset: ${name}`);
    const [, sign, hours = '0', minutes = '0'] = match;
    return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
  };
  const segments: Segment[] = [];
  let begin = from;
  let offset = offsetAt(from);
  // Day by day, and in quarters of an hour where a day has a change.
  for (let day = from; day < to; day += 96 * STEP_MS) {
    if (offsetAt(day + 96 * STEP_MS) === offset) continue;
    for (let at = day; at <= day + 96 * STEP_MS; at += STEP_MS) {
      const found = offsetAt(at);
      if (found === offset) continue;
      segments.push({ from: begin, to: at, offset });
      [begin, offset] = [at, found];
    }
  }
  return [...segments, { from: begin, to: to + 97 * STEP_MS, offset }];
}

/**
 * The instants at which these local times of day have to fire, by the rules: one that does not exist right after the
 * gap, one that exists twice the first time, none twice.
 */
export function firesOf(
  oracle: ZoneOracle,
  times: readonly { readonly hour: number; readonly minute: number }[],
  from: number,
  to: number,
): number[] {
  const found = new Set<number>();
  const day = 24 * 3_600_000;
  for (let date = Math.floor(from / day) * day - day; date < to + day; date += day) {
    for (const { hour, minute } of times) {
      const local = date + (hour * 60 + minute) * 60_000;
      const [first] = oracle.instantsOf(local);
      const instant = first ?? oracle.afterGap(local);
      if (instant > from && instant <= to) found.add(instant);
    }
  }
  return [...found].sort((a, b) => a - b);
}
