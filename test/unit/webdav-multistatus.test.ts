import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseMultistatus } from '../../lib/destinations/webdav/multistatus.ts';
import { BackupError } from '../../lib/errors.ts';
import { cut } from '../support/byte-streams.ts';

const failure = (status: number, href: string) => new Error(`status ${status} for ${href}`);
const parse = (xml: string, size = xml.length + 1) => parseMultistatus(cut(Buffer.from(xml), size), failure);

const file = (href: string, bytes: number) =>
  `<D:response><D:href>${href}</D:href><D:propstat><D:prop><D:resourcetype/><D:getcontentlength>${bytes}</D:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`;
const list = (...responses: string[]) =>
  `<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">${responses.join('\n')}</D:multistatus>`;
const folder =
  '<response><href>/dav/</href><propstat><prop><resourcetype><collection/></resourcetype></prop><status>HTTP/1.1 200 OK</status></propstat><propstat><prop><getcontentlength/></prop><status>HTTP/1.1 404 Not Found</status></propstat></response>';

describe('multistatus', () => {
  it('reads resources in any prefix, whatever the pieces in which it comes', async () => {
    const xml = list(
      file('/dav/a%20b', 7),
      file('/dav/&#252;&amp;', 0),
      `<response xmlns="DAV:">${folder.slice(10)}`,
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 60 }), async (size) => {
        const found = await parse(xml, size);
        assert.deepEqual(
          found.map(({ href, isCollection, properties }) => [
            href,
            isCollection,
            properties.get('getcontentlength'),
          ]),
          [
            ['/dav/a%20b', false, '7'],
            ['/dav/ü&', false, '0'],
            ['/dav/', true, undefined],
          ],
        );
      }),
    );
  });

  it('takes no properties of other namespaces for those of WebDAV', async () => {
    const [found] = await parse(
      list(
        '<D:response><D:href>/a</D:href><D:propstat><D:prop xmlns:x="urn:x"><x:getcontentlength>9</x:getcontentlength><x:collection/></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>',
      ),
    );
    assert.equal(found?.properties.get('getcontentlength'), undefined);
    assert.equal(found?.isCollection, false);
  });

  it('fails wherever it is cut off', async () => {
    const xml = list(file('/a', 1), file('/b', 2));
    for (let end = 0; end < xml.length; end += 1) {
      await assert.rejects(
        parse(xml.slice(0, end)),
        (error) => error instanceof BackupError && error.code === 'corrupt',
      );
    }
    assert.equal((await parse(xml)).length, 2);
  });

  it('fails for an error of one resource', async () => {
    const denied = '<D:response><D:href>/b</D:href><D:status>HTTP/1.1 403 Forbidden</D:status></D:response>';
    await assert.rejects(parse(list(file('/a', 1), denied)), /status 403 for \/b/);
    await assert.rejects(
      parse(list(file('/a', 1).replace('200 OK', '500 Internal Server Error'))),
      /status 500 for \/a/,
    );
  });

  it('fails for what is no list', async () => {
    for (const xml of [
      '',
      'not XML',
      '<html><body>Sign in</body></html>',
      '<multistatus/>',
      list('<D:response><D:href>/a</D:href></D:response>'),
      list(file('', 1)),
      list(file('/a', 1).replace('HTTP/1.1 200 OK', 'fine')),
      `<!DOCTYPE x [<!ENTITY a "b">]>${list(file('/a', 1)).slice(39)}`,
      list(file('&unknown;', 1)),
      `${list(file('/a', 1))}<more/>`,
    ]) {
      await assert.rejects(
        parse(xml),
        (error) => error instanceof BackupError && error.code === 'corrupt',
        xml,
      );
    }
  });
});
