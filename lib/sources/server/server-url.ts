/** Parameters of the URL, named as libpq names them, and the settings that they stand for. */
const PARAMETERS: Readonly<Record<string, string>> = {
  host: 'host',
  port: 'port',
  user: 'user',
  sslmode: 'tls',
  sslrootcert: 'caFile',
  sslcert: 'certFile',
  sslkey: 'keyFile',
  connect_timeout: 'connectTimeout',
  tools: 'toolsFolder',
};

const NUMBERS: ReadonlySet<string> = new Set(['port', 'connectTimeout']);

/** Settings of a server as its URL gives them, not checked. What the URL holds may be a secret: it is not repeated. */
export interface ServerUrl {
  readonly settings: Record<string, unknown>;
  /** Escapes resolved; empty: none is named. */
  readonly database: string;
  /** Empty: none. */
  readonly password: string;
}

/**
 * Reads `postgresql://user@host:5432/database?sslmode=require` and the like.
 * @param wrong makes the error from what is wrong with it
 */
export function readServerUrl(text: string, wrong: (problem: string) => Error): ServerUrl {
  if (!URL.canParse(text)) throw wrong('it is not a valid URL');
  const url = new URL(text);
  if (url.hash !== '') throw wrong('it holds a #');
  const decoded = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw wrong('it holds a % that is not followed by two hexadecimal digits');
    }
  };
  const parameters = new URLSearchParams(url.search);
  const password = parameters.get('password') ?? decoded(url.password);
  parameters.delete('password');
  return {
    settings: { ...addressOf(url, decoded), ...parametersOf(parameters, wrong) },
    database: decoded(url.pathname.slice(1)),
    password,
  };
}

function addressOf({ hostname, port, username }: URL, decoded: (part: string) => string) {
  return {
    ...(hostname === '' ? {} : { host: decoded(hostname.replace(/^\[(.*)\]$/, '$1')) }),
    ...(port === '' ? {} : { port: Number(port) }),
    ...(username === '' ? {} : { user: decoded(username) }),
  };
}

function parametersOf(parameters: URLSearchParams, wrong: (problem: string) => Error) {
  const settings: Record<string, unknown> = {};
  for (const [name, value] of parameters) {
    const setting = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : undefined;
    if (setting === undefined) {
      throw wrong(`its parameter ${name} is not known: there are ${Object.keys(PARAMETERS).join(', ')}`);
    }
    // libpq's word for what is called off here.
    const meant = setting === 'tls' && value === 'disable' ? 'off' : value;
    settings[setting] = NUMBERS.has(setting) ? Number(meant) : meant;
  }
  return settings;
}
