import zlib from 'node:zlib';
import type { ByteCursor } from '../bytes/cursor.ts';
import { cutOff, damaged } from './decode-error.ts';
import {
  type EndMark,
  isEmptyBody,
  type MemberHeader,
  readMemberHeader,
  TRAILER_BYTES,
} from './gzip-format.ts';
import type { WholePart } from './whole-decoder.ts';

/** Members of at most this length, compressed and not, are inflated whole, and several at once. */
const WHOLE_BYTES = 4 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

/** A member that does not tell its length, or is too long to be held: it is inflated as it comes. */
export interface OpenMember {
  readonly headerBytes: number;
  readonly where: string;
}

export interface MemberOptions {
  /** `required`: the empty member that we write must stand at the end of the file, and nothing behind it. */
  readonly end: 'required' | 'optional';
}

/** Finds the members of a gzip file that tell their length, and checks the mark at its end. */
export class GzipMembers {
  readonly #cursor: ByteCursor;
  readonly #endRequired: boolean;
  #seen: EndMark = NOTHING;
  #endExpected: boolean;
  #ended = false;
  #members = 0;
  #open: OpenMember | undefined;

  constructor(cursor: ByteCursor, options: MemberOptions) {
    this.#cursor = cursor;
    this.#endRequired = options.end === 'required';
    this.#endExpected = this.#endRequired;
  }

  /**
   * The members that come now and can be held whole. Ends at the end of the file, or before another
   * member, which is then `pendingOpenMember`.
   * @throws BackupError `incomplete` when the file is cut off, `corrupt` when it is not gzip
   */
  async *wholeMembers(): AsyncGenerator<WholePart> {
    while (await this.#cursor.has(1)) {
      if (await this.#isPadding()) continue;
      const header = await readMemberHeader(this.#cursor, this.#where);
      if (header.end !== undefined && header.memberBytes !== undefined) {
        await this.#takeEnd(header, header.memberBytes, header.end);
        continue;
      }
      const member = await this.#takeWhole(header);
      if (member === undefined) {
        this.#open = { headerBytes: header.bytes, where: this.#where };
        return;
      }
      yield member;
    }
    this.#finish();
  }

  /** The member before which `wholeMembers` has stopped; it must be taken before that is called again. */
  pendingOpenMember(): OpenMember | undefined {
    const open = this.#open;
    this.#open = undefined;
    return open;
  }

  /** Takes the trailer of an open member whose content has just been inflated, and checks it. */
  async takeTrailer(member: OpenMember, content: { bytes: number; crc: number }): Promise<void> {
    if (!(await this.#cursor.has(TRAILER_BYTES))) throw cutOff(`${member.where} has no checksum at its end`);
    const trailer = this.#cursor.take(TRAILER_BYTES);
    if (trailer.readUInt32LE(0) !== content.crc || trailer.readUInt32LE(4) !== content.bytes % 2 ** 32) {
      throw damaged(`${member.where}: incorrect data check`);
    }
    this.#count(trailer, content.bytes);
  }

  get #where(): string {
    return `gzip member ${this.#members + 1} at byte ${this.#cursor.position}`;
  }

  /** Takes a member of ours; undefined (and nothing taken) when it must be inflated as it comes. */
  async #takeWhole(header: MemberHeader): Promise<WholePart | undefined> {
    const { memberBytes } = header;
    if (memberBytes === undefined || memberBytes > WHOLE_BYTES) return undefined;
    const where = this.#where;
    this.#endExpected = true;
    if (memberBytes < header.bytes + TRAILER_BYTES) throw damaged(`${where} tells a wrong length`);
    if (!(await this.#cursor.has(memberBytes))) throw cutOff(`${where} does not end`);
    const trailer = this.#cursor.peek(TRAILER_BYTES, memberBytes - TRAILER_BYTES);
    const contentBytes = trailer.readUInt32LE(4);
    if (contentBytes > WHOLE_BYTES) return undefined;
    const bytes = this.#cursor.take(memberBytes);
    this.#count(trailer, contentBytes);
    return { bytes, contentBytes, where };
  }

  async #takeEnd(header: MemberHeader, memberBytes: number, mark: EndMark): Promise<void> {
    const where = this.#where;
    if (!(await this.#cursor.has(memberBytes))) throw cutOff(`${where} does not end`);
    const bodyBytes = memberBytes - header.bytes;
    if (bodyBytes < 0 || !isEmptyBody(this.#cursor.peek(bodyBytes, header.bytes))) {
      throw damaged(`${where} should be empty`);
    }
    const seen = this.#seen;
    if (
      mark.members !== seen.members ||
      mark.contentBytes !== seen.contentBytes ||
      mark.trailersCrc !== seen.trailersCrc
    ) {
      throw damaged(
        `it holds ${seen.members} members with ${seen.contentBytes} bytes, its end speaks of ${mark.members} with ${mark.contentBytes}`,
      );
    }
    this.#cursor.skip(memberBytes);
    this.#ended = true;
    this.#endExpected = this.#endRequired;
    this.#seen = NOTHING;
  }

  #count(trailer: Buffer, contentBytes: number): void {
    this.#members += 1;
    this.#ended = false;
    this.#seen = {
      members: this.#seen.members + 1,
      contentBytes: this.#seen.contentBytes + contentBytes,
      trailersCrc: zlib.crc32(trailer, this.#seen.trailersCrc),
    };
  }

  /** Zeros behind the last member, as tape blocks leave them, are passed over: up to the end of the file. */
  async #isPadding(): Promise<boolean> {
    const cursor = this.#cursor;
    if (this.#ended && this.#endRequired) {
      throw damaged(`there are bytes behind its end, from byte ${cursor.position} on`);
    }
    if (cursor.position === 0 || cursor.peek(1)[0] !== 0) return false;
    for (let piece = await cursor.takeSome(PIECE_BYTES); piece !== undefined; ) {
      if (piece.some((byte) => byte !== 0)) {
        throw damaged(`there are bytes behind the zeros that end it, at byte ${cursor.position}`);
      }
      piece = await cursor.takeSome(PIECE_BYTES);
    }
    return true;
  }

  #finish(): void {
    if (this.#cursor.position === 0) throw cutOff('it is empty');
    if (this.#endExpected && !this.#ended) {
      throw cutOff(`the empty member that ends it is missing after byte ${this.#cursor.position}`);
    }
  }
}

const NOTHING: EndMark = { members: 0, contentBytes: 0, trailersCrc: 0 };
