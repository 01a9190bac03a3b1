import { request } from 'node:http';
import { now, timeOf } from './clock.mjs';

/**
 * Many subscribers over WebSocket in a process of their own, by a client that does next to nothing, so that it is not what is
 * measured. `node clients.mjs URL KEY PAYLOAD COUNT`; tells `ready`, and what came in between two questions.
 */
const [url, key, payload, count] = process.argv.slice(2);
/** Only every so many-th looks into its messages. */
const SAMPLE = Number(count) > 100 ? 10 : 1;

let got = 0;
let bytes = 0;
let delays = [];
let last = 0;
let want = Number.POSITIVE_INFINITY;

function frame(message) {
  const body = Buffer.from(JSON.stringify(message));
  const head =
    body.length < 126
      ? Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0])
      : Buffer.from([0x81, 0xfe, body.length >> 8, body.length & 255, 0, 0, 0, 0]);
  return Buffer.concat([head, body]);
}

/** Splits what comes into messages; `take` gets each and where it begins and ends. */
function createReader(take) {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    const data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    while (data.length - at >= 2) {
      const short = data[at + 1] & 127;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (data.length - at < head) break;
      const length =
        short === 126 ? data.readUInt16BE(at + 2) : short === 127 ? data.readUInt32BE(at + 6) : short;
      if (data.length - at < head + length) break;
      take(data, at + head, at + head + length);
      at += head + length;
    }
    rest = at < data.length ? Buffer.from(data.subarray(at)) : Buffer.alloc(0);
  };
}

const connect = (n) =>
  new Promise((resolve, reject) => {
    const asking = request(`${url}/graphql`, {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': 13,
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-protocol': 'graphql-transport-ws',
      },
    });
    asking.on('error', reject).on('response', (response) => reject(new Error(`HTTP ${response.statusCode}`)));
    asking.on('upgrade', (_response, socket, head) => {
      socket.setNoDelay(true);
      let isOpen = false;
      const read = createReader((data, from, to) => {
        // Pings are no messages.
        if (to === from) return;
        if (isOpen && n % SAMPLE !== 0) return countOne(to - from);
        const text = data.toString('latin1', from, to);
        if (isOpen) return sample(text, to - from);
        if (!text.includes('connection_ack')) return;
        isOpen = true;
        socket.write(frame({ id: `${n}-0123-4567`, type: 'subscribe', payload: JSON.parse(payload) }));
        resolve();
      });
      if (head.length > 0) read(head);
      socket.on('data', read);
      socket.write(frame({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } }));
    });
    asking.end();
  });

function countOne(length) {
  got += 1;
  bytes += length;
  if (got === want) last = now();
}

function sample(text, length) {
  if (text.includes('"type":"error"') || text.includes('"errors"'))
    process.send({ error: text.slice(0, 500) });
  const [, stamp] = /"changed":\[\{.*?"bytesDone":(\d+)/.exec(text) ?? [];
  if (Number(stamp) > 1e12) delays.push(now() - timeOf(Number(stamp)));
  countOne(length);
}

process.on('message', (message) => {
  if (message.begin) {
    [got, bytes, delays] = [0, 0, []];
    want = message.want ?? Number.POSITIVE_INFINITY;
    process.send({ begun: true });
  } else process.send({ told: true, got, bytes, delays, last });
});
for (const end of ['disconnect', 'SIGTERM']) process.on(end, () => process.exit());
for (let at = 0; at < Number(count); at += 50)
  await Promise.all(Array.from({ length: Math.min(50, Number(count) - at) }, (_, n) => connect(at + n)));
process.send({ ready: true });
