import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { regionOf, type S3Access, type S3Location } from './s3-location.ts';
import type { createS3RequestHandler } from './s3-request-handler.ts';

interface ClientConfigOptions {
  readonly location: S3Location;
  readonly credentials: S3Access;
  readonly requestHandler: ReturnType<typeof createS3RequestHandler>;
}

/**
 * Settings of an SDK client that takes nothing from the environment or from ~/.aws, but for credentials where it is to
 * find them itself: whatever is left out here, it would look up there.
 */
export function clientConfig({ location, credentials, requestHandler }: ClientConfigOptions): S3ClientConfig {
  return {
    region: regionOf(location),
    ...(location.endpoint === undefined ? {} : { endpoint: location.endpoint }),
    forcePathStyle: location.forcePathStyle,
    requestHandler,
    ...credentialsConfig(credentials),
    // Whoever calls tries again, or leaves it to its job.
    maxAttempts: 1,
    retryMode: 'standard',
    // Many stores keep the checksums that newer SDKs append as a part of the data.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ignoreConfiguredEndpointUrls: true,
    followRegionRedirects: false,
    disableMultiregionAccessPoints: true,
    disableS3ExpressSessionAuth: true,
    disableClockSkewCorrection: false,
    useArnRegion: false,
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    defaultsMode: 'standard',
    authSchemePreference: [],
    sigv4aSigningRegionSet: [],
    defaultUserAgentProvider: async () => [['sluice', '1']],
    userAgentAppId: '',
  };
}

function credentialsConfig(credentials: S3Access): S3ClientConfig {
  if (credentials === 'DEFAULT') return {};
  if (credentials !== 'ANONYMOUS') return { credentials: { ...credentials } };
  return {
    credentials: { accessKeyId: '', secretAccessKey: '' },
    signer: { sign: async (request) => request },
  };
}
