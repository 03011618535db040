// What lies between page and server: a network that can be lost and found, and answers of a page's own server.

import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

type Answer = (asked: IncomingMessage, answer: ServerResponse) => void;

export class Front {
  #sockets = new Set<Socket>();
  #answers = new Map<string, Answer>();
  #isCut = false;
  #isFrozen = false;
  /** What every upgrade offered. */
  readonly offered: string[] = [];
  /** Every address that was asked for. */
  readonly addresses: string[] = [];

  private constructor(private readonly server: Server, private readonly target: URL, readonly url: string) {
    server.on('connection', (socket: Socket) => this.#watch(socket));
    server.on('request', (asked: IncomingMessage, answer: ServerResponse) => this.#pass(asked, answer));
    server.on('upgrade', (asked: IncomingMessage, near: Duplex, head: Buffer) => this.#join(asked, near as Socket, head));
  }

  static async before(target: string): Promise<Front> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Front(server, new URL(target), `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  /** Answers a path itself. */
  answer(path: string, answer: Answer): void {
    this.#answers.set(path, answer);
  }

  /** Every connection breaks, and none can be made. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Nothing gets through, and nobody is told. */
  freeze(): void {
    this.#isFrozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  mend(): void {
    this.#isCut = this.#isFrozen = false;
    for (const socket of this.#sockets) socket.resume();
  }

  close(): void {
    this.cut();
    this.server.close();
  }

  #watch(socket: Socket): void {
    if (this.#isCut) return void socket.destroy();
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    if (this.#isFrozen) setImmediate(() => socket.pause());
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    const path = new URL(asked.url ?? '/', this.url).pathname;
    this.addresses.push(asked.url ?? '');
    const own = this.#answers.get(path);
    if (own) return own(asked, answer);
    const { hostname, port } = this.target;
    const onward = request({ hostname, port, method: asked.method, path: asked.url, headers: asked.headers }, (said) => {
      answer.writeHead(said.statusCode ?? 502, said.headers);
      said.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    asked.pipe(onward);
  }

  #join(asked: IncomingMessage, near: Socket, head: Buffer): void {
    this.offered.push(String(asked.headers['sec-websocket-protocol']));
    this.addresses.push(asked.url ?? '');
    const far = connect(Number(this.target.port), this.target.hostname, () => {
      const headers = asked.rawHeaders.flatMap((name, at, all) => (at % 2 === 0 ? [`${name}: ${all[at + 1]}`] : []));
      far.write(`GET ${asked.url} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
      far.write(head);
    });
    this.#watch(far);
    for (const [from, to] of [[near, far], [far, near]] as const) {
      from.on('data', (data) => to.write(data));
      from.on('close', () => to.destroy());
    }
  }
}
