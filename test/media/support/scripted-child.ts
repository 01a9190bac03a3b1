import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const channel = fileURLToPath(new URL('../../../dist/media/channel.js', import.meta.url));

/**
 * Writes a child of the work pool that does what a test wants.
 * @param onCall code that is run for each `order`, with `send(report)` for one about it, `raw(kind, bytes)`, `makeFiles(product)`,
 * `make(product)` and `done()`
 */
export async function writeScriptedChild(path: string, onCall: string): Promise<string> {
  await writeFile(path, `${PRELUDE.replace('CHANNEL', JSON.stringify(channel))}\n${onCall}\n}`);
  return path;
}

const PRELUDE = `
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { Socket } from 'node:net';
import { createChannel } from CHANNEL;

const socket = new Socket({ fd: 3, readable: true, writable: true });
socket.on('end', () => process.exit());
const channel = createChannel({ socket, maxBytes: 1 << 22, onJson: (order) => act(order), onViolation: () => {} });
const scenes = [{ start: 0, end: 2, thumbnail: 'scenes/000.jpg' }];
const results = {
  STREAM: {
    playlist: 'stream/main.m3u8',
    renditions: [{ width: 640, height: 360, bandwidth: 1000, codecs: 'avc1', copied: true }],
  },
  THUMBNAILS: { poster: 'pictures/poster.jpg', thumbnails: [], storyboard: 'pictures/storyboard.vtt' },
  SCENES: { scenes },
  FINGERPRINT: { frames: [{ at: 0, hash: '0123456789abcdef' }] },
  QUALITY: { overall: 4, metrics: [] },
  SCAN_TYPE: { scanType: 'PROGRESSIVE' },
};
const files = {
  STREAM: ['stream/main.m3u8'],
  THUMBNAILS: ['pictures/poster.jpg', 'pictures/storyboard.vtt'],
  SCENES: ['scenes/000.jpg'],
};
channel.sendJson({ type: 'ready' });

function act(order) {
  const { call, folder, products } = order;
  const send = (report) => channel.sendJson({ call, ...report });
  const raw = (kind, bytes, length = bytes.length) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length);
    head[4] = kind;
    socket.write(head);
    socket.write(bytes);
  };
  const write = (file) => {
    fs.mkdirSync(dirname(join(folder, file)), { recursive: true });
    fs.writeFileSync(join(folder, file), 'content');
  };
  const makeFiles = (product) => (files[product] ?? []).forEach(write);
  const tell = (product, result) => send({ type: 'made', outcome: { product, result } });
  const make = (product) => {
    makeFiles(product);
    tell(product, results[product]);
  };
  const done = () => send({ type: 'done' });
  const makeAll = () => {
    products.forEach(make);
    done();
  };
`;
