import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { MediaFile, MediaFiles } from '../services/media-files.ts';
import { PRODUCT_FOLDERS } from '../services/media-paths.ts';
import type { MediaUrls } from '../services/media-urls.ts';
import { answerWith, forgetFile, refuse } from './media-answer.ts';
import { CROSS_ORIGIN, PREFLIGHT } from './media-headers.ts';

export interface MediaOptions {
  readonly urls: Pick<MediaUrls, 'verify' | 'verifyProduct'>;
  readonly files: MediaFiles;
}

interface Asked {
  readonly token: string;
  readonly name: string;
}

/** What a URL leads to, and until when it holds; null for a token that stands for nothing. */
type Looked = { readonly found: MediaFile | 'GONE' | 'REVOKED'; readonly until: Date } | null;

/**
 * GET and HEAD of media: /media/:token/original/:name is a video's original file, whose name is not read;
 * /media/:token/<folder>/:name one that media work left. The token in the path is all that is needed; a wrong, expired or revoked
 * one is answered with 403, one whose video or file is gone with 404.
 */
export function registerMedia(server: FastifyInstance, { urls, files }: MediaOptions): void {
  serve(server, 'original', async ({ token }) => {
    const grant = urls.verify(token);
    return grant && { found: await files.original(grant), until: grant.expiresAt };
  });
  for (const folder of PRODUCT_FOLDERS) {
    serve(server, folder, async ({ token, name }) => {
      const grant = urls.verifyProduct(token);
      return grant && { found: await files.product(grant, folder, name), until: grant.expiresAt };
    });
  }
}

function serve(server: FastifyInstance, folder: string, look: (asked: Asked) => Promise<Looked>): void {
  const url = `/media/:token/${folder}/:name`;
  server.route<{ Params: Asked }>({
    method: ['GET', 'HEAD'],
    exposeHeadRoute: false,
    url,
    handler: async (request, reply) => {
      reply.headers(CROSS_ORIGIN);
      try {
        return await answer(request, reply, await look(request.params));
      } catch (error) {
        // What is answered instead must not be kept as the file.
        forgetFile(reply);
        throw error;
      }
    },
  });
  server.options(url, (_request, reply) => reply.code(204).headers(PREFLIGHT).send());
}

async function answer(request: FastifyRequest, reply: FastifyReply, looked: Looked): Promise<FastifyReply> {
  if (looked === null || looked.found === 'REVOKED')
    return refuse(reply, 403, 'This URL is not valid, or no longer.');
  if (looked.found === 'GONE') return refuse(reply, 404, 'This video is gone.');
  return await answerWith(request, reply, { file: looked.found, until: looked.until });
}
