import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestPostgres } from '../servers/postgres.ts';
import { failing, RUNNING, SHOP, streamOf, useRestoringServer } from '../support/postgres-restoring.ts';
import { until } from '../support/until.ts';

describe('a restore into PostgreSQL that fails', function () {
  this.timeout(180_000);
  const of = useRestoringServer();

  /** Nothing may have changed. */
  async function requireAsBefore(): Promise<void> {
    assert.deepEqual(await of().databases(), ['live', SHOP].sort());
    assert.deepEqual(await of().ids('old'), [7]);
  }

  beforeEach(() => of().createLive());

  for (const format of ['pg-custom', 'pg-plain', 'pg-tar']) {
    it(`leaves everything as it was when ${format} is cut off or aborted`, async () => {
      const whole = of().dump(format);
      for (const length of [0, 10, 1000, whole.length - 2000, whole.length - 60]) {
        await assert.rejects(
          of().restore({ format, overwrite: 'replace' }, {}, streamOf(whole.subarray(0, length))),
          {
            name: 'BackupError',
          },
        );
      }
      const abort = new AbortController();
      const restoring = of().target({ format, overwrite: 'replace' });
      await assert.rejects(restoring.restore(hanging(whole.subarray(0, -2000), abort), abort.signal), {
        code: 'aborted',
      });
      await requireAsBefore();
    });
  }

  it('names the statement and what the server said', async () => {
    const bytes = Buffer.from(of().dump('pg-custom'));
    const at = bytes.indexOf('ADD CONSTRAINT "child key"');
    bytes.write('ADD CONSTRAIN ', at);
    await assert.rejects(of().restore({ overwrite: 'replace' }, {}, streamOf(bytes)), {
      message: /pg_restore into live failed .*ERROR: {2}.*Command was: ALTER TABLE ONLY public.child/,
    });
    await requireAsBefore();
  });

  it('names the extension or role that the server lacks, without secrets', async () => {
    const bytes = Buffer.from(
      of().dump('pg-plain').toString().replace('OWNER TO app', 'OWNER TO nobody') ?? '',
    );
    await assert.rejects(of().restore({ format: 'pg-plain', overwrite: 'replace' }, {}, streamOf(bytes)), {
      message: /role "nobody" does not exist.*STATEMENT: .*OWNER TO nobody/,
    });
    await requireAsBefore();
  });

  it('runs no command of psql', async () => {
    const place = join(of().spool, 'pwned');
    const script = of().dump('pg-plain').toString();
    for (const after of ['-- PostgreSQL database dump\n', 'SET row_security = off;\n', '\n\\.\n']) {
      const bytes = Buffer.from(script.replace(after, () => `${after}\\! touch ${place}\n`));
      assert.notEqual(bytes.toString(), script);
      await assert.rejects(of().restore({ format: 'pg-plain', overwrite: 'replace' }, {}, streamOf(bytes)), {
        message: /backslash commands are restricted/,
      });
    }
    const globals = of().dump('pg-globals').toString();
    const wrong = globals.replace('CREATE ROLE app;', () => `CREATE ROLE app \\! touch ${place}\n;`);
    assert.notEqual(wrong, globals);
    await assert.rejects(of().restore({ format: 'pg-globals' }, {}, streamOf(Buffer.from(wrong))), {
      code: 'corrupt',
    });
    await requireAsBefore();
  });

  it('drops what is half done when the connection breaks', async () => {
    const restoring = of()
      .target({ overwrite: 'replace', format: 'pg-plain' })
      .restore(
        slowly(of().dump('pg-plain'), async () => {
          await until(async () => (await terminate(of().server, '_restoring_')) > 0, 120_000);
        }),
        RUNNING,
      );
    await assert.rejects(restoring, { name: 'BackupError' });
    await requireAsBefore();
  });

  it('waits for the last byte before it believes the others', async () => {
    for (const settings of [{}, { content: 'schema', database: 'fresh' }, { jobs: 2 }] as const) {
      const raw = failing(of().dump('pg-custom'));
      await assert.rejects(of().restore({ overwrite: 'replace', ...settings }, {}, raw), /the hash is wrong/);
    }
    await requireAsBefore();
  });
});

/** Is aborted in the middle, and then has nothing more to give. */
async function* hanging(bytes: Buffer, abort: AbortController): AsyncGenerator<Buffer> {
  yield* streamOf(bytes);
  setImmediate(() => abort.abort());
  await new Promise(() => undefined);
}

/** Does something before the last bytes come. */
async function* slowly(bytes: Buffer, meanwhile: () => Promise<void>): AsyncGenerator<Buffer> {
  yield* streamOf(bytes.subarray(0, -500));
  await meanwhile();
  yield* streamOf(bytes.subarray(-500));
}

/** Ends the sessions in databases whose name has this text. */
async function terminate(server: TestPostgres, text: string): Promise<number> {
  const rows = await server.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE strpos(datname, '${text}') > 0`,
  );
  return rows.length;
}
