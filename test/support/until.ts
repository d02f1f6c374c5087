const PAUSE_MS = { shortest: 5, longest: 250 } as const;
/** Asking a browser or a server takes its time from the work that is waited for: four parts of five are left to it. */
const PAUSE_PER_QUESTION = 4;

/** Waits until the condition holds; fails when it does not within the time, in ms. */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = 30_000): Promise<void> {
  const end = Date.now() + withinMs;
  for (;;) {
    const asked = performance.now();
    if (await condition()) return;
    if (Date.now() > end)
      throw new Error(`The condition did not come true within ${withinMs} ms: ${condition}`);
    const fair = PAUSE_PER_QUESTION * (performance.now() - asked);
    const pause = Math.min(PAUSE_MS.longest, Math.max(PAUSE_MS.shortest, fair));
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
