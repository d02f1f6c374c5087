import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DumpFilter, type FilterRules } from '../../lib/sources/mysql/restore-filter.ts';
import { StatementSplitter } from '../../lib/sources/mysql/restore-splitter.ts';

const END = '-- Dump completed\n';
const RULES: FilterRules = {
  sqlMode: '',
  maxStatementBytes: 1024 * 1024,
  replaceDefiners: false,
  keepsRows: () => true,
};

function filtered(text: string | Buffer, rules: Partial<FilterRules> = {}, size = 1 << 20) {
  const filter = new DumpFilter({ ...RULES, ...rules });
  const bytes = Buffer.from(text);
  const output: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) output.push(...filter.push(bytes.subarray(at, at + size)));
  output.push(...filter.end());
  return { filter, text: Buffer.concat(output).toString('utf8') };
}

/** Statements as the splitter finds them. */
function statementsOf(
  text: string,
  size: number,
  configure: (splitter: StatementSplitter) => void = () => undefined,
) {
  const splitter = new StatementSplitter();
  configure(splitter);
  const bytes = Buffer.from(text);
  const found: string[] = [];
  let parts: Buffer[] = [];
  const take = (pieces: Iterable<{ kind: string; bytes: Buffer }>) => {
    for (const { kind, bytes: piece } of pieces) {
      if (kind === 'part') parts.push(Buffer.from(piece));
      if (kind !== 'end') continue;
      found.push(Buffer.concat(parts).toString('utf8'));
      parts = [];
    }
  };
  for (let at = 0; at < bytes.length; at += size) take(splitter.split(bytes.subarray(at, at + size)));
  take(splitter.end());
  return found;
}

const quoted = (quote: string) =>
  fc
    .string({
      unit: fc.constantFrom("'", '"', '`', '\\', ';', '-', '/', '*', '#', '\n', ' ', 'x', '😀', '\0'),
    })
    .map((text) => {
      if (quote === '`') return `\`${text.replaceAll('`', '``')}\``;
      return `${quote}${text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`)}${quote}`;
    });
const comment = fc
  .string({ unit: fc.constantFrom("'", '"', '`', ';', '*', 'x', ' ', '\n') })
  .map((text) => `/* ${text} */`);
const lineComment = fc
  .string({ unit: fc.constantFrom("'", '"', '`', ';', '*', '/', 'x', ' ') })
  .map((text) => `-- ${text}\n`);
const piece = fc.oneof(
  fc.constantFrom(
    'SELECT',
    '1',
    '-1',
    '- -',
    '/',
    '(',
    ')',
    'a-b',
    '*',
    '/*!50003',
    '*/',
    '\\N',
    '_binary',
    '\n',
  ),
  quoted("'"),
  quoted('"'),
  quoted('`'),
  comment,
  lineComment,
  lineComment.map((text) => text.replace('-- ', '#')),
);
const statement = fc.array(piece, { maxLength: 12 }).map((pieces) => `SELECT ${pieces.join(' ')} 1`);

describe('restore filter of MySQL dumps', () => {
  it('finds statements wherever the chunks are cut, whatever their strings and comments hold', () => {
    fc.assert(
      fc.property(
        fc.array(statement, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 40 }),
        (statements, changesDelimiter, size) => {
          const delimiter = changesDelimiter ? ';;;' : ';';
          const text = statements.map((one) => `${one}${delimiter}\n-- it's between\n`).join('');
          const whole = changesDelimiter ? `DELIMITER ;;;\n${text}DELIMITER ;\nSELECT 1;\n` : text;
          const expected = changesDelimiter ? [...statements, 'SELECT 1'] : statements;
          assert.deepEqual(statementsOf(whole, size), expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('reads backslashes as the session does', () => {
    const text = "SELECT 'C:\\'; SELECT ';';";
    assert.deepEqual(
      statementsOf(text, 3, (splitter) => {
        splitter.backslashEscapes = false;
      }),
      ["SELECT 'C:\\'", "SELECT ';'"],
    );
    const dump = `SET @saved_sql_mode = @@sql_mode ;\nSET sql_mode = 'NO_BACKSLASH_ESCAPES' ;\nSELECT 'C:\\' ;\nSET sql_mode = @saved_sql_mode ;\nSELECT 'it\\'s;' ;\n`;
    for (const size of [1, 7, 1000]) assert.equal(filtered(dump + END, {}, size).text, `${dump}\n`);
  });

  it('leaves out comments between statements and the sandbox mark, and keeps all lines', () => {
    const text = `/*M!999999\\- enable the sandbox mode */ \n-- \\! touch x\n/* a\nb */SELECT 1;\n# c\n${END}`;
    assert.equal(filtered(text).text, ' \n\n\nSELECT 1;\n\n\n');
  });

  it('keeps comments, version comments and delimiters within statements', () => {
    const text =
      'DELIMITER ;;\n/*!50003 CREATE*/ /*!50003 TRIGGER `t` BEFORE INSERT ON `x` FOR EACH ROW BEGIN -- it\'s; x\n /* ;; */ SET @a = ";;"; END */;;\nDELIMITER ;\n';
    const { text: output, filter } = filtered(text + END, {}, 5);
    assert.equal(output, `${text}\n`);
    assert.deepEqual([...filter.created('trigger')], ['t']);
  });

  it('gives no database but the one that is restored another character set', () => {
    const text =
      'ALTER DATABASE `sh``op` CHARACTER SET latin1 COLLATE latin1_bin ;\nALTER DATABASE CHARACTER SET utf8mb4;\n';
    assert.equal(
      filtered(text + END).text,
      'ALTER DATABASE  CHARACTER SET latin1 COLLATE latin1_bin ;\nALTER DATABASE CHARACTER SET utf8mb4;\n\n',
    );
  });

  it('takes the name of the original from sequences and triggers, and from nothing else', () => {
    const head = '-- Host: 127.0.0.1    Database: sh.op\n';
    const table =
      "CREATE TABLE `t` (`a` int DEFAULT nextval(`sh.op`.`s`), `b` int DEFAULT nextval(`other`.`s`), `sh.op` varchar(9) DEFAULT 'nextval(`sh.op`.`s`)' COMMENT 'nextval(`sh.op`.');\n";
    const trigger =
      'CREATE DEFINER=`a`@`b` trigger `sh.op`.tr before insert on sh.op for each row set @a = `sh.op`.f();\n';
    assert.equal(
      filtered(head + table + trigger + END).text,
      `\n${table.replace('(`sh.op`.`s`), `b`', '(`s`), `b`')}${trigger.replace('`sh.op`.tr', 'tr').replace('on sh.op', 'on op')}\n`,
    );
  });

  it('replaces definers where statements name them, and leaves text that looks like it', () => {
    const text = [
      "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`a``b`@`%` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 'DEFINER=`x`@`y`' AS `DEFINER=``x``` */;",
      "INSERT INTO `t` VALUES ('CREATE DEFINER=`a`@`b` VIEW x');",
      "CREATE DEFINER='a'@'b' PROCEDURE `p`() SELECT 'CREATE DEFINER=`a`@`b` VIEW';",
      'CREATE DEFINER=`role` FUNCTION `f`() RETURNS int RETURN 1;',
      'CREATE SEQUENCE `definer` start with 1;',
    ].join('\n');
    const expected = text
      .replace('DEFINER=`a``b`@`%` SQL', 'DEFINER=CURRENT_USER SQL')
      .replace("DEFINER='a'@'b'", 'DEFINER=CURRENT_USER')
      .replace('DEFINER=`role`', 'DEFINER=CURRENT_USER');
    for (const size of [1, 9, 4096]) {
      const { text: output } = filtered(`${text}\n${END}`, { replaceDefiners: true }, size);
      assert.equal(output, `${expected}\n\n`);
    }
    assert.equal(filtered(`${text}\n${END}`).text, `${text}\n\n`);
  });

  it('leaves out rows that are not wanted, whole statements only', () => {
    const rows = (table: string) =>
      `INSERT INTO \`${table}\` VALUES (1,'x;\nINSERT INTO \`keep\` VALUES (2);\n'),${"(3,'y'),".repeat(500)}(4,'z');\n`;
    const text = `${rows('keep')}${rows('le``ave')}REPLACE INTO \`le\`\`ave\` VALUES (1);\nINSERT  IGNORE INTO \`keep\` VALUES (9);\n`;
    for (const size of [1, 100, 100_000]) {
      const { text: output } = filtered(text + END, { keepsRows: (table) => table === 'keep' }, size);
      assert.equal(output, `${rows('keep')}\n\nINSERT  IGNORE INTO \`keep\` VALUES (9);\n\n`);
    }
  });

  it('counts what is there in the end, with placeholders of views only once', () => {
    const text =
      'CREATE TABLE `a` (x int);\n/*!50001 CREATE TABLE `v` (x int) */;\n/*!50001 DROP TABLE IF EXISTS `v`*/;\n/*!50001 CREATE VIEW `v` AS SELECT 1*/;\n/*!50001 DROP VIEW IF EXISTS `v`*/;\n/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50001 VIEW `v` AS select 1 */;\nCREATE TABLE IF NOT EXISTS b (x int);\n/*!50106 CREATE*/ /*!50117 DEFINER=`a`@`b`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY DO SELECT 1 */ ;\n';
    const { filter } = filtered(text + END);
    const names = (['table', 'view', 'event'] as const).map((kind) => [...filter.created(kind)]);
    assert.deepEqual(names, [['a', 'b'], ['v'], ['e']]);
  });

  it('leaves out events when they are not wanted, and expects none', () => {
    const event =
      '/*!50106 CREATE*/ /*!50117 DEFINER=`a`@`b`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY DO DELETE FROM `t` */ ;\n';
    const dump = `CREATE TABLE \`t\` (x int);\nDELIMITER ;;\n${event.replace(' ;', ' ;;')}DELIMITER ;\n${event}${END}`;
    const without = filtered(dump, { keepsEvents: false });
    assert.doesNotMatch(without.text, /EVENT/);
    assert.match(without.text, /CREATE TABLE/);
    assert.deepEqual([...without.filter.created('event')], []);
    assert.match(filtered(dump).text, /EVENT/);
  });

  it('finds the statement of a line that the client names, shortened', () => {
    const text = `SELECT 1;\n-- x\n\nSELECT\n 2;\nINSERT INTO \`t\` VALUES ('${'y'.repeat(500)}');\n`;
    const { filter } = filtered(text + END);
    assert.equal(filter.statementAt(1), 'SELECT 1');
    assert.equal(filter.statementAt(4), 'SELECT 2');
    assert.equal(filter.statementAt(6), `INSERT INTO \`t\` VALUES ('${'y'.repeat(175)} …`);
    assert.equal(filter.statementAt(60), undefined);
  });

  it('refuses dumps without an end, beyond their database, or too long for the server', () => {
    assert.throws(() => filtered('SELECT 1;\n'), { code: 'incomplete', message: /Dump completed/ });
    assert.throws(() => filtered(`${END}SELECT 1;\n`), { code: 'incomplete' });
    assert.throws(() => filtered(`SELECT '${END}`), { code: 'incomplete', message: /middle of a statement/ });
    assert.throws(() => filtered("INSERT INTO `t` VALUES ('\n-- Dump completed\n');\n"), {
      code: 'incomplete',
    });
    for (const words of ['USE `x`', 'use x', 'CREATE DATABASE x', '/*!40000 DROP DATABASE IF EXISTS `x`*/']) {
      assert.throws(() => filtered(`${words};\n${END}`), { code: 'invalid-config' }, words);
    }
    const long = `INSERT INTO \`t\` VALUES ('${'x'.repeat(5000)}');\n${END}`;
    assert.throws(() => filtered(long, { maxStatementBytes: 4000 }), {
      code: 'invalid-config',
      message: /max_allowed_packet.*INSERT INTO `t`/s,
    });
  });
});
