import { connect, type Socket } from 'node:net'

/** Sends bytes as they are, and reads until the server ends the connection. */
export async function rawRequest(url: string, text: string): Promise<string> {
  const socket = await openSocket(url)
  socket.end(text)
  return readAll(socket)
}

export async function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return socket
}

export function readAll(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    // A server that refuses may reset the connection after its answer.
    socket.on('error', () => {})
    socket.once('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
  })
}
