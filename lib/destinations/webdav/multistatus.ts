import { StringDecoder } from 'node:string_decoder';
import { BackupError } from '../../errors.ts';

/** One resource of a 207 reply, with the properties that the server has for it. */
export interface DavResource {
  readonly href: string;
  readonly isCollection: boolean;
  /** Text of the properties in the namespace `DAV:`, by local name. */
  readonly properties: ReadonlyMap<string, string>;
}

type Sax = typeof import('sax');

/**
 * Reads a 207 Multi-Status body (RFC 4918, section 13) strictly: what is damaged, incomplete or an error inside
 * is an error of the whole, for a resource that is passed over may be a backup.
 * @throws BackupError `corrupt`, or by the status that the server gives for one of the resources
 */
export async function parseMultistatus(
  chunks: AsyncIterable<Buffer>,
  failure: (status: number, href: string) => Error,
): Promise<DavResource[]> {
  const reader = new MultistatusReader(await loadSax(), failure);
  const decoder = new StringDecoder('utf8');
  for await (const chunk of chunks) reader.write(decoder.write(chunk));
  reader.write(decoder.end());
  return reader.end();
}

async function loadSax(): Promise<Sax> {
  try {
    const { default: library } = await import('sax');
    return library;
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'WebDAV storage needs the package sax: install it with npm install sax',
      {
        cause,
      },
    );
  }
}

interface Response {
  href: string;
  status: string;
  isCollection: boolean;
  hasPropstat: boolean;
  readonly properties: Map<string, string>;
}

interface Propstat {
  status: string;
  isCollection: boolean;
  readonly properties: Map<string, string>;
}

class MultistatusReader {
  readonly #parser: import('sax').SAXParser;
  readonly #failure: (status: number, href: string) => Error;
  readonly #found: DavResource[] = [];
  /** Names of the open elements, `DAV:` without its namespace. */
  readonly #path: string[] = [];
  #text = '';
  #response: Response | undefined;
  #propstat: Propstat | undefined;
  #ended = false;

  constructor(sax: Sax, failure: (status: number, href: string) => Error) {
    this.#failure = failure;
    const parser = sax.parser(true, { xmlns: true, position: false });
    parser.onopentag = (tag) => {
      if ('uri' in tag) this.#open(tag.uri === 'DAV:' ? tag.local : `{${tag.uri}}${tag.local}`);
    };
    parser.onclosetag = () => this.#close();
    parser.ontext = (text) => this.#addText(text);
    parser.oncdata = (text) => this.#addText(text);
    parser.ondoctype = () => {
      throw damaged('it has a document type');
    };
    parser.onerror = (error) => {
      throw damaged(error.message.replaceAll('\n', ' '));
    };
    this.#parser = parser;
  }

  write(text: string): void {
    this.#parser.write(text);
  }

  end(): DavResource[] {
    this.#parser.close();
    if (!this.#ended) throw damaged('it ends early');
    return this.#found;
  }

  #addText(text: string): void {
    this.#text += text;
  }

  #open(name: string): void {
    this.#path.push(name);
    this.#text = '';
    const path = this.#path.join('/');
    if (this.#path.length === 1 && name !== 'multistatus') throw damaged(`it begins with <${name}>`);
    if (path === 'multistatus/response') {
      this.#response = {
        href: '',
        status: '',
        isCollection: false,
        hasPropstat: false,
        properties: new Map(),
      };
    } else if (path === 'multistatus/response/propstat') {
      this.#propstat = { status: '', isCollection: false, properties: new Map() };
    } else if (path === 'multistatus/response/propstat/prop/resourcetype/collection' && this.#propstat) {
      this.#propstat.isCollection = true;
    }
  }

  #close(): void {
    const path = this.#path.join('/');
    const name = this.#path.pop() ?? '';
    const text = this.#text.trim();
    this.#text = '';
    if (path === 'multistatus') this.#ended = true;
    if (this.#response === undefined) return;
    if (path === 'multistatus/response/href') this.#response.href ||= text;
    else if (path === 'multistatus/response/status') this.#response.status = text;
    else if (path === 'multistatus/response/propstat/status' && this.#propstat) this.#propstat.status = text;
    else if (path === `multistatus/response/propstat/prop/${name}`)
      this.#propstat?.properties.set(name, text);
    else if (path === 'multistatus/response/propstat') this.#closePropstat(this.#response);
    else if (path === 'multistatus/response') this.#closeResponse(this.#response);
  }

  /** Properties that the server does not have come with a status of their own, mostly 404. */
  #closePropstat(response: Response): void {
    const propstat = this.#propstat;
    this.#propstat = undefined;
    if (propstat === undefined) return;
    response.hasPropstat = true;
    const status = statusIn(propstat.status);
    if (status === 404) return;
    if (status < 200 || status > 299) throw this.#failure(status, response.href);
    response.isCollection ||= propstat.isCollection;
    for (const [name, text] of propstat.properties) response.properties.set(name, text);
  }

  #closeResponse({ href, status, hasPropstat, isCollection, properties }: Response): void {
    this.#response = undefined;
    if (href === '') throw damaged('a response in it has no href');
    if (status !== '') {
      const code = statusIn(status);
      if (code < 200 || code > 299) throw this.#failure(code, href);
    } else if (!hasPropstat) {
      throw damaged(`it tells nothing about ${href}`);
    }
    this.#found.push({ href, isCollection, properties });
  }
}

/** The number in `HTTP/1.1 404 Not Found`. */
function statusIn(line: string): number {
  const status = /^HTTP\/\d(?:\.\d)? (\d{3})(?: |$)/.exec(line)?.[1];
  if (status === undefined) throw damaged(`it has the status "${line.slice(0, 100)}"`);
  return Number(status);
}

function damaged(why: string): BackupError {
  return new BackupError('corrupt', `The WebDAV server sent a list that cannot be read: ${why}`);
}
