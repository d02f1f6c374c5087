import { Writable } from 'node:stream';

/** Two streams in place of stdout and stderr, and what was written to them. */
export function captured() {
  const texts = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof texts) =>
    new Writable({
      write(chunk, _encoding, done) {
        texts[name] += String(chunk);
        done();
      },
    });
  return {
    streams: { stdout: stream('stdout'), stderr: stream('stderr') },
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
  };
}
