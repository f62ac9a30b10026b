import type { IncomingHttpHeaders } from 'node:http'

/** One request whose body, if it has any, is short. */
export interface HttpRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
}

/** An answer whose body is still to come. Read it to its end, or drop it. */
export interface HttpReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Pieces as they come; no more is taken from the network than is asked for. */
  readonly body: AsyncIterable<Uint8Array>
  /** Gives the rest up. */
  drop(): void
}

/** A body on its way to a server. */
export interface HttpUpload {
  /** Resolves when the network has taken it: the bytes are the caller's again. Rejects once the server has answered. */
  write(bytes: Uint8Array): Promise<void>
  /** Ends the body and waits for the answer. */
  finish(): Promise<HttpReply>
  /** Breaks it off. */
  abort(): void
  /** The answer to a body that the server did not take to its end, if there was one. */
  early(): Promise<HttpReply> | undefined
}

/**
 * HTTP, as far as it is needed here; everything rejects with a `RequestFailure`. `nodeExchange` does it over sockets,
 * tests by script.
 */
export interface HttpExchange {
  send(request: HttpRequest): Promise<HttpReply>
  /** Resolves once the body may be written. */
  upload(request: HttpRequest): Promise<HttpUpload>
  /** Ends idle connections. */
  close(): void
}

/** Longer answers than this are no answers of a NameNode. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024

/** The whole body as text; what lies beyond 64 MiB is dropped, and the rest parses as nothing. */
export async function readText(reply: HttpReply): Promise<string> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of reply.body) {
    pieces.push(piece)
    bytes += piece.byteLength
    if (bytes > MAX_TEXT_BYTES) {
      reply.drop()
      break
    }
  }
  return Buffer.concat(pieces).toString('utf8')
}
