import type { Page } from 'playwright-core';

/** Notes everything that the server sends to a page from now on; what it returns tells it. */
export function watchTraffic(page: Page): () => Promise<readonly string[]> {
  const noted: Promise<string>[] = [];
  page.on('response', (response) => {
    // A redirect has no body.
    noted.push(response.text().then((body) => `${response.url()}: ${body}`, String));
  });
  page.on('websocket', (socket) => {
    socket.on('framereceived', ({ payload }) => noted.push(Promise.resolve(String(payload))));
  });
  return () => Promise.all(noted);
}
