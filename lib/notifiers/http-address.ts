import { z } from 'zod';

const HOST_ITSELF = /^(localhost|127(\.\d+){3}|\[::1\])$/i;

function problemOf(address: string, encrypted: boolean): string | undefined {
  if (!URL.canParse(address)) return 'is no address: it must begin with https://';
  const { protocol, hostname } = new URL(address);
  if (protocol === 'https:') return undefined;
  if (protocol !== 'http:') return 'must begin with https://';
  return encrypted && !HOST_ITSELF.test(hostname)
    ? 'must begin with https://, since it holds a secret'
    : undefined;
}

/** An address of a service, which may be in this network and without TLS. Errors never quote it: it may hold a secret. */
export const webAddress = addressOf(false);

/** The same of a service in the Internet: over TLS, unless it is on this host. */
export const secureAddress = addressOf(true);

function addressOf(encrypted: boolean) {
  return z
    .string()
    .min(1)
    .max(2000)
    .superRefine((address, context) => {
      const problem = problemOf(address, encrypted);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    });
}

/** The host of an address, for people. */
export function hostOf(address: string): string {
  return URL.canParse(address) ? new URL(address).host : 'an address that is none';
}

/** An address with one more part in its path. */
export function addressBelow(address: string, part: string): string {
  const url = new URL(address);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${part}`;
  return url.href;
}
