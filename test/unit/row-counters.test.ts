import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { TableRows } from '../../lib/sources/driver.ts';
import { InsertRowCounter } from '../../lib/sources/mysql/insert-rows.ts';
import { CopyRowCounter } from '../../lib/sources/postgres/copy-rows.ts';

interface Counter {
  take(chunk: Buffer): void;
  rows(): TableRows[];
}

function counted(
  counter: Counter,
  text: string,
  sizes: readonly number[] = [1 << 20],
): Record<string, number> {
  const bytes = Buffer.from(text);
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    counter.take(bytes.subarray(at, at + size));
    at += size;
  }
  return Object.fromEntries(counter.rows().map(({ name, rows }) => [name, rows]));
}

function inAnyPieces(make: () => Counter, text: string, expected: Record<string, number>): void {
  assert.deepEqual(counted(make(), text), expected);
  assert.deepEqual(counted(make(), text, [1]), expected);
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 });
  fc.assert(fc.property(sizes, (pieces) => assert.deepEqual(counted(make(), text, pieces), expected)));
}

describe('rows in a script of pg_dump', () => {
  const make = () => new CopyRowCounter();

  it('are the lines of data, whatever these hold', () => {
    const script = `--
-- PostgreSQL database dump
--

\\restrict token
SET standard_conforming_strings = on;
-- Data for Name: orders; it's; Type: TABLE DATA

COPY public.orders (id, note) FROM stdin;
1\tone
2\t\\\\.
3\t\\N
\\\\.
\\.x


\\.


COPY public.empty (id) FROM stdin;
\\.
COPY "Käse & co"."a.b""c ;" ("x FROM stdin;", y) FROM stdin;
1\t;
\\.
\\unrestrict token
`;
    inAnyPieces(make, script, { 'public.orders': 7, 'public.empty': 0, 'Käse & co.a.b"c ;': 1 });
  });

  it('are not those that stand in functions, strings and comments', () => {
    const copy = 'COPY public.fake (id) FROM stdin;\n1\n\\.\n';
    const script = `
CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$
${copy} $$ $ $x$ $_
$_$;
CREATE FUNCTION public.g() RETURNS text LANGUAGE sql AS $$ ;
${copy}$$;
COMMENT ON TABLE public.t IS 'it''s ;
${copy}';
COMMENT ON TABLE public.t IS E'it\\'s ''quoted'' \\\\ ;
${copy}';
/* a comment /* within */ ;
${copy}*/
-- COPY public.fake (id) FROM stdin;
CREATE VIEW "${copy.replaceAll('\n', ' ')}" AS SELECT 1 AS price$us, 'E' '';
SELECT pg_catalog.lowrite(0, '\\x${'00'.repeat(200)}');
COPY public.real (id) FROM stdin;
1
\\.
`;
    inAnyPieces(make, script, { 'public.real': 1 });
  });
});

describe('rows in a dump of mysqldump', () => {
  const make = () => new InsertRowCounter();

  it('are those of all INSERT statements of a table, whatever these hold', () => {
    const dump = `-- MariaDB dump
CREATE TABLE \`orders\` (
  \`id\` int COMMENT 'INSERT INTO \`x\` VALUES (1),(2);\\nINSERT INTO \`x\` VALUES (1);'
);
LOCK TABLES \`orders\` WRITE;
INSERT INTO \`orders\` VALUES (1,'it\\'s (1),(2);'),(2,NULL),(-3.5e7,0xFF28),(4,'\\\\'),(5,'');
INSERT INTO \`orders\` VALUES
(6,_binary '()();\\n'),
(7,'Käse');
CREATE TABLE \`empty\` (id int);
/*!50001 CREATE VIEW \`v\` AS SELECT 1 AS \`a\`*/;
CREATE TABLE \`a\`\`b Ü\` (id int);
INSERT  IGNORE INTO \`a\`\`b Ü\` (\`VALUES (\`, \`x\`\`y\`) VALUES (1,2),(3,4);
REPLACE INTO \`orders\` VALUES (8,'');
-- Dump completed
`;
    inAnyPieces(make, dump, { orders: 8, empty: 0, 'a`b Ü': 2 });
  });

  it('are not those that programs insert', () => {
    const dump = `CREATE TABLE \`log\` (id int);
DELIMITER ;;
/*!50003 CREATE TRIGGER t AFTER INSERT ON log FOR EACH ROW BEGIN
INSERT INTO \`log\` VALUES (1),(2);
CREATE TABLE \`other\` (id int);
END */;;
DELIMITER ;
INSERT INTO \`log\` VALUES (1);
`;
    inAnyPieces(make, dump, { log: 1 });
  });

  it('are exact for any values', () => {
    const value = fc.oneof(
      fc.integer().map(String),
      fc.constant('NULL'),
      fc.string({ unit: 'binary' }).map(quoted),
      fc.constantFrom("'(),('", "'\\\\'", "';\\n'", '0x28'),
    );
    const row = fc.array(value, { minLength: 1, maxLength: 4 }).map((values) => `(${values.join(',')})`);
    const statement = fc.array(row, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(statement, { maxLength: 6 }), fc.integer({ min: 1, max: 50 }), (all, size) => {
        const dump = `CREATE TABLE \`t\` (\n);\n${all.map((rows) => `INSERT INTO \`t\` VALUES ${rows.join(',')};\n`).join('')}`;
        assert.deepEqual(counted(make(), dump, [size]), { t: all.flat().length });
      }),
    );
  });
});

/** As mysql_real_escape_string writes it. */
function quoted(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escaping exactly these
  const escaped = text.replaceAll(/[\\'"\0\n\r\x1a]/g, (character) => `\\${ESCAPES[character] ?? character}`);
  return `'${escaped}'`;
}

const ESCAPES: Record<string, string> = { '\0': '0', '\n': 'n', '\r': 'r', '\x1a': 'Z' };
