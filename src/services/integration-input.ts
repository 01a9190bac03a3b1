import { isAbsolute } from 'node:path';
import { z } from 'zod';
import type { StoredS3Location } from '../db/tables/integrations.ts';
import type { S3Credentials } from '../sources/s3.ts';
import { notNull, objectKey, parseInput, rule, text } from './input-rules.ts';
import type { IntegrationLocation } from './integration-sources.ts';

const MAX_PATH = 4096;
const MAX_ENDPOINT = 2048;

// Those of AWS have narrower rules; other stores take more.
const bucket = z
  .string()
  .regex(/^(?!\.\.?$)[A-Za-z0-9._-]{1,255}$/, 'must be the name of a bucket: 1 to 255 of A-Z a-z 0-9 . _ -');

const prefix = z.preprocess((value) => (value === '' ? undefined : value), objectKey.nullish());

const region = z
  .string()
  .regex(/^[a-z0-9-]{1,64}$/, 'must be the name of a region, such as eu-west-1: 1 to 64 of a-z 0-9 -');

const endpoint = z
  .string()
  .pipe(
    rule<string>((value) =>
      isEndpoint(value)
        ? null
        : {
            code: 'INVALID',
            message:
              'must be an http or https URL without user name, password, query and fragment, such as https://s3.example.com',
          },
    ),
  )
  .transform((value) => new URL(value).href.replace(/\/+$/, ''));

function isEndpoint(value: string): boolean {
  if (value.length > MAX_ENDPOINT || /[?#]/.test(value) || !URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return (protocol === 'https:' || protocol === 'http:') && username === '' && password === '';
}

/** What is sent in a header as it is. */
const headerText = (max: number) =>
  text(1, max).regex(/^[\x21-\x7e]*$/, 'must be of visible ASCII characters, without spaces');

const credentials = z.object({
  accessKeyId: headerText(255),
  secretAccessKey: text(1, 1024).regex(/^\P{Cc}*$/u, 'must not contain control characters'),
  sessionToken: headerText(16_384).nullish(),
});

const s3 = z.object({
  bucket,
  prefix,
  region: region.nullish(),
  endpoint: endpoint.nullish(),
  forcePathStyle: z.boolean(),
  credentials: credentials.nullish(),
});

const folder = z.object({
  path: text(1, MAX_PATH).refine(isAbsolute, 'must be an absolute path, such as /media/videos'),
});

// The schema has seen to it that exactly one is there.
const location = z
  .object({ s3: s3.nullish(), folder: folder.nullish() })
  .transform((given): GivenLocation => {
    const { s3: bucketGiven, folder: folderGiven } = given;
    return {
      s3: bucketGiven ? toStored(bucketGiven) : null,
      folder: folderGiven ?? null,
      credentials: bucketGiven?.credentials && toCredentials(bucketGiven.credentials),
    };
  });

/** A location as it was given. */
export interface GivenLocation extends IntegrationLocation {
  /** Undefined when none were named; null when they are to be cleared. */
  readonly credentials: S3Credentials | null | undefined;
}

const toStored = (given: z.output<typeof s3>): StoredS3Location => ({
  bucket: given.bucket,
  forcePathStyle: given.forcePathStyle,
  ...(given.prefix == null ? {} : { prefix: given.prefix }),
  ...(given.region == null ? {} : { region: given.region }),
  ...(given.endpoint == null ? {} : { endpoint: given.endpoint }),
});

const toCredentials = ({
  sessionToken,
  ...pair
}: NonNullable<z.output<typeof credentials>>): S3Credentials =>
  sessionToken == null ? pair : { ...pair, sessionToken };

const createInput = z.object({ teamId: z.string().nullish(), name: text(1, 255), location });

const updateInput = z.object({
  id: z.string(),
  name: notNull(text(1, 255)).optional(),
  location: notNull(location).optional(),
});

/**
 * Checks the input of createIntegration.
 * @throws {InvalidInputError} with the path of everything that is wrong; never with a secret
 */
export const parseCreateIntegration = (input: unknown) => parseInput(createInput, 'input', input);

/**
 * Checks the input of updateIntegration.
 * @throws {InvalidInputError} with the path of everything that is wrong; never with a secret
 */
export const parseUpdateIntegration = (input: unknown) => parseInput(updateInput, 'input', input);
