import type { Descriptor, ProgressEvent } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ProgressBar } from '../src/render/progress-bar.ts'
import { ProgressLines } from '../src/render/progress-lines.ts'
import { textWidth } from '@s3lo/views/width'
import { CapturedStream } from './run-cli.ts'

const MB = 1_000_000

function blob(letter: string, size: number): Descriptor {
  return { mediaType: 'layer', digest: `sha256:${letter.repeat(64)}`, size }
}

function start(descriptor: Descriptor, platform = 'single'): ProgressEvent {
  return { type: 'blob', phase: 'start', descriptor, platform }
}

function ended(descriptor: Descriptor, phase: 'done' | 'skip' | 'mount' = 'done'): ProgressEvent {
  return { type: 'blob', phase, descriptor, platform: 'single' }
}

function bytes(descriptor: Descriptor, delta: number): ProgressEvent {
  return { type: 'bytes', descriptor, delta }
}

/** Control sequences and single characters. */
function tokensOf(text: string): readonly string[] {
  const [plain = '', ...escaped] = text.split('\u001b')
  const sequences = escaped.flatMap((part) => {
    const end = part.search(/[A-Z]/) + 1
    return [`\u001b${part.slice(0, end)}`, ...Array.from(part.slice(end))]
  })
  return [...Array.from(plain), ...sequences]
}

/** As much of a terminal as the bar uses: wrapping lines, cursor up, clear to the end. */
class Terminal extends CapturedStream {
  lines: string[] = ['']
  #row = 0
  #column = 0

  constructor(columns: number) {
    super(columns)
    this.rows = 24
  }

  override _write(chunk: unknown, encoding: string, done: () => void): void {
    super._write(chunk, encoding, done)
    for (const token of tokensOf(String(chunk))) this.#apply(token)
  }

  /** Makes the terminal narrower or wider, which wraps its lines anew. */
  resize(columns: number): void {
    this.columns = columns
    const wrapped = this.lines.flatMap(
      (line) => line.match(new RegExp(`.{1,${columns}}`, 'gu')) ?? [''],
    )
    this.lines = wrapped
    this.#row = wrapped.length - 1
    this.emit('resize')
  }

  #apply(token: string): void {
    const [, count, command] = /^\[(\d*)([A-Z])$/.exec(token.slice(1)) ?? []
    if (command === 'A') this.#row -= Number(count || 1)
    else if (command === 'J') {
      this.lines = this.lines.slice(0, this.#row + 1)
      this.lines[this.#row] = (this.lines[this.#row] ?? '').slice(0, this.#column)
    } else if (token === '\r') this.#column = 0
    else if (token === '\n') this.#down()
    else {
      if (this.#column >= (this.columns ?? 80)) this.#down()
      this.lines[this.#row] = (this.lines[this.#row] ?? '').slice(0, this.#column) + token
      this.#column += textWidth(token)
    }
  }

  #down(): void {
    this.#row++
    this.#column = 0
    this.lines[this.#row] ??= ''
  }
}

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

describe('the bar', () => {
  function begin(columns: number): { terminal: Terminal; bar: ProgressBar } {
    const terminal = new Terminal(columns)
    return { terminal, bar: new ProgressBar(terminal, 'Pushing') }
  }

  function half(bar: ProgressBar): void {
    bar.update({ type: 'plan', blobs: 2, bytes: 10 * MB })
    bar.update(start(blob('a', 8 * MB), 'linux/amd64'))
    vi.advanceTimersByTime(1000)
    bar.update(bytes(blob('a', 8 * MB), 5 * MB))
    vi.advanceTimersByTime(100)
  }

  it('shows bytes, rate and time left, and the blobs on their way', () => {
    const { terminal, bar } = begin(80)
    half(bar)
    const [line = '', second = ''] = terminal.lines
    expect(line).toMatch(
      /^Pushing \[#+\.+\] {2}50% {2}5\.0 MB \/ 10\.0 MB {2}4\.\d MB\/s {2}1s left$/,
    )
    expect(second).toBe('  sha256:aaaaaaaaaaaa  5.0 MB / 8.0 MB  linux/amd64')
    bar.close()
    expect(terminal.lines).toEqual([''])
  })

  it.each([200, 80, 60, 40, 30, 20, 12])('fits into %i columns', (columns) => {
    const { terminal, bar } = begin(columns)
    half(bar)
    vi.advanceTimersByTime(1000)
    for (const line of terminal.lines) expect(textWidth(line)).toBeLessThan(columns)
    expect(terminal.lines).toHaveLength(2)
    bar.close()
    expect(terminal.lines).toEqual([''])
  })

  it('has no percentage as long as the total is unknown', () => {
    const { terminal, bar } = begin(80)
    bar.update(bytes({ mediaType: 'layer', digest: '', size: MB }, 2000))
    vi.advanceTimersByTime(100)
    expect(terminal.lines[0]).toMatch(/^Pushing 2\.0 kB .*0 blobs$/)
    expect(terminal.text).not.toContain('%')
    bar.close()
  })

  it('shows nothing before the first event: a question may be waiting', () => {
    const { terminal, bar } = begin(80)
    vi.advanceTimersByTime(5000)
    expect(terminal.text).toBe('')
    bar.close()
    expect(terminal.text).toBe('')
  })

  it('keeps lines that are printed meanwhile above it', () => {
    const { terminal, bar } = begin(80)
    half(bar)
    bar.print('note: something')
    vi.advanceTimersByTime(100)
    expect(terminal.lines[0]).toBe('note: something')
    expect(terminal.lines[1]).toContain('Pushing [')
    bar.close()
    expect(terminal.lines).toEqual(['note: something', ''])
  })

  it('leaves nothing behind when the terminal becomes narrower', () => {
    const { terminal, bar } = begin(100)
    half(bar)
    terminal.resize(30)
    expect(terminal.lines).toHaveLength(2)
    for (const line of terminal.lines) expect(textWidth(line)).toBeLessThan(30)
    bar.close()
    expect(terminal.lines).toEqual([''])
  })

  it('redraws at most twenty times a second', () => {
    const { terminal, bar } = begin(80)
    const a = blob('a', 100 * MB)
    bar.update({ type: 'plan', blobs: 1, bytes: a.size })
    const write = vi.spyOn(terminal, 'write')
    for (let i = 0; i < 1000; i++) {
      bar.update(bytes(a, 1000))
      vi.advanceTimersByTime(1)
    }
    expect(write.mock.calls.length).toBeLessThanOrEqual(20)
    expect(write.mock.calls.length).toBeGreaterThan(5)
    bar.close()
  })

  it('shows some of many blobs and counts the others', () => {
    const { terminal, bar } = begin(80)
    for (const letter of '0123456789abcdef') bar.update(start(blob(letter, 10)))
    vi.advanceTimersByTime(100)
    expect(terminal.lines).toHaveLength(9)
    expect(terminal.lines.at(-1)).toBe('  and 9 more')
    bar.close()
  })

  it('counts blobs where their sizes are not known', () => {
    const { terminal, bar } = begin(80)
    bar.update({ type: 'plan', blobs: 4, bytes: 0 })
    vi.advanceTimersByTime(1000)
    bar.update(ended(blob('a', 10)))
    vi.advanceTimersByTime(100)
    expect(terminal.lines[0]).toMatch(/ 25%\s+1 \/ 4\s+.* left/)
    bar.close()
  })

  it('cannot be broken by what a manifest calls its platform', () => {
    const { terminal, bar } = begin(80)
    bar.update(start(blob('a', 10), `linux/\u001b[31m${'漢'.repeat(50)}`))
    vi.advanceTimersByTime(100)
    expect(terminal.lines[1]).toContain('linux/\\x1b[31m漢')
    expect(textWidth(terminal.lines[1] ?? '')).toBeLessThan(80)
    expect(terminal.lines[1]?.endsWith('…')).toBe(true)
    bar.close()
  })
})

describe('progress in a log', () => {
  it('is a line every ten seconds', () => {
    const stream = new CapturedStream()
    const lines = new ProgressLines(stream, 'Pushing')
    const a = blob('a', 100 * MB)
    lines.update({ type: 'plan', blobs: 1, bytes: a.size })
    lines.update(start(a))
    for (let second = 0; second < 25; second++) {
      vi.advanceTimersByTime(1000)
      lines.update(bytes(a, MB))
    }
    lines.close()
    vi.advanceTimersByTime(60_000)
    expect(stream.text.split('\n')).toEqual([
      expect.stringMatching(/^Pushing: 9\.0 MB of 100\.0 MB \(9%\), .*\/s, .* left$/),
      expect.stringMatching(/^Pushing: 19\.0 MB of 100\.0 MB \(19%\), /),
      '',
    ])
  })
})
