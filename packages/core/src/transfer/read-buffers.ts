import type { Agent } from 'node:http'

/** Bytes that are read of a connection at once. */
const READ_BYTES = 512 * 1024

/**
 * Makes each connection of an agent read into one buffer of its own, and gives the agent back. Node's
 * parser copies the bodies out of it; without it, every read takes fresh memory besides. For an agent
 * that makes each connection at once, and through no proxy.
 */
export function withReadBuffers<A extends Agent>(agent: A): A {
  const connect = agent.createConnection.bind(agent)
  agent.createConnection = (options, done) => {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
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
