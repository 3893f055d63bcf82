import type { Agent } from 'node:http'

/** Bytes that are read of a plain connection at once. */
const READ_BYTES = 512 * 1024
/** Node gives what TLS has decrypted in pieces of 16 KiB. */
const TLS_READ_BYTES = 16 * 1024

/**
 * What all plain connections are read into: each read has been parsed, which copies the bodies out, when
 * the next one of any connection begins.
 */
let shared: Buffer | undefined

/**
 * Makes the connections of an agent read into memory that is used again, and gives the agent back.
 * Without it, every read takes fresh memory besides that of the bodies. For an agent that makes each
 * connection at once, and through no proxy.
 */
export function withReadBuffers<A extends Agent>(agent: A): A {
  const connect = agent.createConnection.bind(agent)
  const isTls = 'protocol' in agent && agent.protocol === 'https:'
  agent.createConnection = (options, done) => {
    const onread = {
      buffer: isTls
        ? // A write can bring what was decrypted while another connection's bytes are parsed.
          Buffer.allocUnsafeSlow(TLS_READ_BYTES)
        : (shared ??= Buffer.allocUnsafeSlow(READ_BYTES)),
      callback: (length: number, bytes: Uint8Array) => {
        socket?.emit('data', bytes.subarray(0, length))
        return true
      },
    }
    const reading = { ...options, onread }
    const socket = connect(reading, done)
    return socket
  }
  return agent
}
