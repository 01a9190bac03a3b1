import { describe } from 'vitest';
import { testDownloads } from './conformance/downloads.ts';
import { testFiles } from './conformance/files.ts';
import { folders } from './conformance/folder.ts';
import { testListings } from './conformance/listings.ts';
import { s3, s3rver, simpleS3 } from './conformance/s3.ts';
import { urls } from './conformance/url.ts';

describe.each([urls, s3, simpleS3, s3rver, folders])('$name', (kind) => {
  testFiles(kind);
  testDownloads(kind);
  testListings(kind);
});
