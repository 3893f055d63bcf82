import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { listenForSignals } from '../src/interrupt.ts'

function listen() {
  const process = new EventEmitter()
  const statuses: number[] = []
  const interruption = listenForSignals(process, (status) => statuses.push(status))
  return { process, statuses, interruption }
}

describe('signals', () => {
  it('stop the work, and then the process', () => {
    const { process, statuses, interruption } = listen()
    process.emit('SIGTERM')
    expect(interruption.signal.reason).toMatchObject({ code: 'ABORTED' })
    expect(interruption.exitStatus).toBe(143)
    expect(statuses).toEqual([])
    process.emit('SIGINT')
    expect(statuses).toEqual([130])
  })

  it('include SIGHUP, but where the work reads its configuration again', () => {
    const { process, interruption } = listen()
    let count = 0
    const off = interruption.onHangUp(() => count++)
    process.emit('SIGHUP')
    process.emit('SIGHUP')
    expect(count).toBe(2)
    expect(interruption.signal.aborted).toBe(false)
    off()
    process.emit('SIGHUP')
    expect(count).toBe(2)
    expect(interruption.exitStatus).toBe(129)
  })

  it('are left alone once they are closed', () => {
    const { process, interruption } = listen()
    interruption.close()
    process.emit('SIGINT')
    expect(interruption.signal.aborted).toBe(false)
  })
})
