import { BackupError } from '../errors.ts';

export type PrometheusLibrary = typeof import('prom-client');

/**
 * The package that keeps and writes metrics, loaded when it is needed first.
 * @throws BackupError `unavailable` when it is not installed
 */
export async function prometheusLibrary(): Promise<PrometheusLibrary> {
  try {
    const loaded = await import('prom-client');
    return loaded.default;
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'Metrics need the package prom-client: install it with npm install prom-client',
      { cause },
    );
  }
}
