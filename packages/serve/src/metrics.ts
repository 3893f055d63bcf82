/** Upper bounds of durations (seconds), from a warm manifest to a large blob over a slow line. */
const SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600]

type Labels = Readonly<Record<string, string>>

/** A number that only grows. */
interface Counter {
  add(labels?: Labels, amount?: number): void
}

/** How durations are distributed. */
interface Histogram {
  observe(seconds: number, labels?: Labels): void
}

/** What is measured, as data: that of several workers is added up. */
export type MetricsSnapshot = readonly FamilySnapshot[]

interface FamilySnapshot {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** Values by the name and labels of their line. */
  readonly lines: Readonly<Record<string, number>>
}

/** Measures, for `/metrics`. Label values come from code, never from requests: series are bounded. */
export interface Metrics {
  counter(name: string, help: string): Counter
  histogram(name: string, help: string): Histogram
  /** A value that is read when it is asked for. */
  gauge(name: string, help: string, read: () => number, type?: 'gauge' | 'counter'): void
  snapshot(): MetricsSnapshot
}

export function createMetrics(): Metrics {
  const families: (() => FamilySnapshot)[] = []
  const family = (name: string, help: string, type: FamilySnapshot['type']): LineSums => {
    const lines = new Map<string, number>()
    families.push(() => ({ name, help, type, lines: Object.fromEntries(lines) }))
    return lines
  }
  return {
    counter(name, help) {
      const lines = family(name, help, 'counter')
      return { add: (labels, amount = 1) => add(lines, name, labels, amount) }
    },
    histogram(name, help) {
      const lines = family(name, help, 'histogram')
      return {
        observe(seconds, labels = {}) {
          for (const bound of SECONDS) {
            const amount = seconds <= bound ? 1 : 0
            add(lines, `${name}_bucket`, { ...labels, le: String(bound) }, amount)
          }
          add(lines, `${name}_bucket`, { ...labels, le: '+Inf' }, 1)
          add(lines, `${name}_sum`, labels, seconds)
          add(lines, `${name}_count`, labels, 1)
        },
      }
    },
    gauge(name, help, read, type = 'gauge') {
      families.push(() => ({ name, help, type, lines: { [name]: read() } }))
    },
    snapshot: () => families.map((read) => read()),
  }
}

type LineSums = Map<string, number>

function add(lines: LineSums, name: string, labels: Labels = {}, amount: number): void {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escapeLabel(value)}"`)
  const line = pairs.length > 0 ? `${name}{${pairs.join(',')}}` : name
  lines.set(line, (lines.get(line) ?? 0) + amount)
}

function escapeLabel(value: string): string {
  return value
    .replaceAll('\\', '\\\\')
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', '\\n')
}

/** The sum of what several workers measured. */
export function addUpMetrics(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const sums = new Map<string, { family: FamilySnapshot; lines: LineSums }>()
  for (const family of snapshots.flat()) {
    const sum = sums.get(family.name) ?? { family, lines: new Map<string, number>() }
    sums.set(family.name, sum)
    for (const [line, value] of Object.entries(family.lines)) {
      sum.lines.set(line, (sum.lines.get(line) ?? 0) + value)
    }
  }
  return [...sums.values()].map(({ family, lines }) => ({
    ...family,
    lines: Object.fromEntries(lines),
  }))
}

/** The media type of {@link formatMetrics}. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Prometheus' text format, version 0.0.4. */
export function formatMetrics(snapshot: MetricsSnapshot): string {
  return snapshot
    .flatMap(({ name, help, type, lines }) => [
      `# HELP ${name} ${help}\n`,
      `# TYPE ${name} ${type}\n`,
      ...Object.entries(lines).map(([line, value]) => `${line} ${value}\n`),
    ])
    .join('')
}
