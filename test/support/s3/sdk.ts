import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';

/** Where a client of the SDK asks, and as whom. */
export interface Store {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A client of the SDK that asks once, by path, and without checksums of its own making. */
export const sdkClient = (store: Store, config: S3ClientConfig = {}): S3Client =>
  new S3Client({
    endpoint: store.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey },
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...config,
  });
