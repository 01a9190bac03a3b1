import { element } from './xml.ts';

export interface FailureOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Further elements of the XML. */
  readonly details?: Readonly<Record<string, string>>;
}

/** An answer of S3 that is an error. */
export class S3Failure extends Error {
  override readonly name = 'S3Failure';
  readonly status: number;
  readonly code: string;
  readonly options: FailureOptions;

  constructor(status: number, code: string, message: string, options: FailureOptions = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.options = options;
  }
}

/** The body of an error. */
export function errorXml(
  code: string,
  message: string,
  details: Readonly<Record<string, string>> = {},
): string {
  const elements = Object.entries({
    Code: code,
    Message: message,
    ...details,
    RequestId: '4442587FB7D0A2F9',
  });
  const inner = elements.map(([name, text]) => element(name, text)).join('');
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${inner}</Error>`;
}

export const noSuchBucket = (bucket: string) =>
  new S3Failure(404, 'NoSuchBucket', 'The specified bucket does not exist', {
    details: { BucketName: bucket },
  });

export const noSuchKey = (key: string) =>
  new S3Failure(404, 'NoSuchKey', 'The specified key does not exist.', { details: { Key: key } });

export const noSuchUpload = () =>
  new S3Failure(404, 'NoSuchUpload', 'The specified upload does not exist; it may be completed or aborted.');

export const invalidArgument = (message: string) => new S3Failure(400, 'InvalidArgument', message);

export const notImplemented = (what: string) =>
  new S3Failure(501, 'NotImplemented', `This store does not know ${what}.`);
