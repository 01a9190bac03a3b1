import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buildSchema, GraphQLError, graphql } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import type { DemoEvent } from '../../src/demo/documents.ts';

/** The part of the schema that the demo's client asks for. */
const SCHEMA = buildSchema(/* GraphQL */ `
  scalar BigInt
  type Query { ok: Boolean }
  type Mutation { startImport(input: StartImportInput!): StartImportResult! }
  type Subscription { importProgress(id: ID!, after: String): ImportProgressEvent! }
  input StartImportInput { from: ImportSourceInput! }
  input ImportSourceInput @oneOf { videos: VideosSourceInput }
  input VideosSourceInput { systemName: String! videos: [VideoInput!]! }
  input VideoInput { externalId: String! url: String fileName: String! name: String }
  union StartImportResult = StartImportSuccess | InvalidInputError
  type StartImportSuccess { import: Import! }
  interface Error { message: String! }
  type InvalidInputError implements Error { message: String! issues: [InputIssue!]! }
  type InputIssue { path: [String!]! message: String! }
  type Import {
    id: ID! state: String! finished: Boolean! error: TaskError
    tasks(first: Int): TaskConnection! failedFiles(first: Int): FailedFileConnection!
  }
  type Progress { fraction: Float! bytesDone: BigInt! bytesTotal: BigInt bytesPerSecond: BigInt }
  type TaskConnection { nodes: [Task!]! }
  type FailedFileConnection { nodes: [FailedFile!]! }
  type TaskError { code: String! message: String! }
  type FailedFile { id: ID! fileName: String! externalId: String error: TaskError! }
  type SystemMetadata {
    duration: Float! width: Int! height: Int! size: BigInt! container: String!
    videoCodec: String! audioCodec: String rotation: Int!
  }
  type Task {
    id: ID! fileName: String! externalId: String videoId: ID! status: String! outcome: String skipReason: String
    reason: String waitingFor: String error: TaskError progress: Progress! systemMetadata: SystemMetadata
  }
  type ImportProgressEvent {
    cursor: String! snapshot: Boolean! import: Import! changed: [Task!]! rejected: [FailedFile!]!
  }
`);

/** What the fake server does. */
export interface FakeScript {
  readonly apiKey: string;
  /** Answers startImport with the value of its field. */
  startImport(input: unknown): unknown;
  /** The events after a cursor; 'cut' destroys the connection, 'refuse' answers with an error. */
  importProgress(after: string | null): Iterable<DemoEvent | 'cut' | 'refuse'>;
}

/** A server that is running, and the cursors that it was asked to go on from. */
export interface FakeServer {
  readonly endpoint: string;
  readonly askedAfter: readonly (string | null)[];
  close(): Promise<void>;
}

/** Starts a GraphQL server over HTTP and WebSocket whose answers are scripted. */
export async function startFakeServer(script: FakeScript): Promise<FakeServer> {
  const askedAfter: (string | null)[] = [];
  const http = createServer((request, response) => {
    void answer(request).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  const answer = async (request: IncomingMessage) => {
    if (request.headers.authorization !== `Bearer ${script.apiKey}`) {
      return { status: 401, body: { errors: [{ message: 'This key is not known.' }] } };
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer); // an http request yields buffers
    const { query, variables } = JSON.parse(Buffer.concat(chunks).toString());
    const rootValue = { startImport: ({ input }: { input: unknown }) => script.startImport(input) };
    const body = await graphql({ schema: SCHEMA, source: query, variableValues: variables, rootValue });
    return { status: 200, body };
  };

  const sockets = new WebSocketServer({ server: http });
  const cleanup = useServer(
    {
      schema: SCHEMA,
      onConnect: ({ connectionParams }) => connectionParams?.authorization === `Bearer ${script.apiKey}`,
      roots: {
        subscription: {
          importProgress: async function* ({ after = null }: { after?: string | null }) {
            askedAfter.push(after);
            for (const event of script.importProgress(after)) {
              if (event === 'refuse') throw new GraphQLError('There is no such import.');
              if (event !== 'cut') yield { importProgress: event };
              else for (const socket of sockets.clients) socket.terminate();
            }
          },
        },
      },
    },
    sockets,
  );
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo; // not a pipe: it listens on a port
  return {
    endpoint: `http://127.0.0.1:${port}/graphql`,
    askedAfter,
    close: async () => {
      await cleanup.dispose();
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };
}
