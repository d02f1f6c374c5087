import assert from 'node:assert/strict';
import { readPackageSettings } from '../../nodes/package-settings.ts';
import { storeSettings } from '../../nodes/store-settings.ts';

describe('settings of the history', () => {
  const read = (settings: object, env: Record<string, string> = {}) => {
    const { keep, leaseMs } = storeSettings('/data', readPackageSettings(settings), env);
    return [keep.days, keep.runs, leaseMs];
  };

  it('are those of the environment, else of settings.js, else usual ones', () => {
    assert.deepEqual(read({}), [400, 5000, 60_000]);
    const settings = { historyDays: 30, historyRuns: 0, leaseSeconds: 20 };
    assert.deepEqual(read(settings), [30, 0, 20_000]);
    const env = { DBACKUP_HISTORY_DAYS: '0', DBACKUP_HISTORY_RUNS: '7', DBACKUP_LEASE_SECONDS: ' 5 ' };
    assert.deepEqual(read(settings, env), [0, 7, 5_000]);
  });

  it('are refused when they make no sense', () => {
    for (const [name, value] of [
      ['DBACKUP_HISTORY_DAYS', '-1'],
      ['DBACKUP_HISTORY_DAYS', '1.5'],
      ['DBACKUP_HISTORY_RUNS', 'many'],
      ['DBACKUP_LEASE_SECONDS', '4'],
      ['DBACKUP_LEASE_SECONDS', '3601'],
    ] as const) {
      assert.throws(() => read({}, { [name]: value }), {
        code: 'invalid-config',
        message: new RegExp(`^${name} is "${value}": give it a whole number from`),
      });
    }
    for (const settings of [{ historyDays: -1 }, { historyRuns: 0.5 }, { leaseSeconds: 1 }, { store: '' }]) {
      assert.throws(() => readPackageSettings(settings), { code: 'invalid-config' });
    }
    assert.throws(() => storeSettings('/data', { store: 'mysql://u@h/db' }, {}), {
      code: 'invalid-config',
      message: /no URL of PostgreSQL/,
    });
  });
});
