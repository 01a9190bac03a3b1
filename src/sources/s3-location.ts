/** Where objects are. */
export interface S3Location {
  readonly bucket: string;
  /** Only objects whose keys begin with it. */
  readonly prefix?: string;
  /** us-east-1 unless given. */
  readonly region?: string;
  /** http or https; AWS unless given. */
  readonly endpoint?: string;
  /** Whether the bucket is named in the path, and not in the host name. */
  readonly forcePathStyle: boolean;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Given ones; ANONYMOUS: requests are not signed; DEFAULT: whatever AWS's own tools would find on this machine. */
export type S3Access = S3Credentials | 'ANONYMOUS' | 'DEFAULT';

/** The region of a location. */
export const regionOf = ({ region }: S3Location): string => region ?? 'us-east-1';

/** The URL of the service, without the bucket: for messages, and to tell one place from another. */
export function serviceOf(location: S3Location): URL {
  if (location.endpoint !== undefined) return new URL(location.endpoint);
  return new URL(`https://s3.${regionOf(location)}.amazonaws.com${isChina(location) ? '.cn' : ''}`);
}

/**
 * The same text for the same bucket, however its endpoint is written. Buckets of AWS have one name in all regions of a
 * partition; AWS counts as such under its own host names, too.
 */
export function placeOf(location: S3Location): string {
  const { protocol, host, hostname, pathname } = serviceOf(location);
  const isAws = /^s3[.-]([a-z0-9-]+\.)*amazonaws\.com(\.cn)?\.?$/.test(hostname);
  const service = isAws ? partitionOf(location) : `${protocol}//${host}${pathname.replace(/\/+$/, '')}`;
  return `s3:${service}/${location.bucket}`;
}

const isChina = (location: S3Location): boolean => regionOf(location).startsWith('cn-');

function partitionOf(location: S3Location): string {
  if (isChina(location)) return 'aws-cn';
  return regionOf(location).startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
