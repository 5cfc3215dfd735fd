/** Few numbers, honestly summed up. */

/** Linear between the two nearest; of an empty list NaN. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  if (!sorted.length) return Number.NaN
  return at === low ? sorted[low] : sorted[low] + (sorted[low + 1] - sorted[low]) * (at - low)
}

export const median = values => quantile(values, 0.5)

/**
 * The ratio of two medians with its 95 % interval, by bootstrap over rounds: the values of one round were measured one after
 * the other and are drawn together, so what slowed both counts for both.
 */
export function medianRatio(values, base, draws = 4000) {
  const rounds = Math.min(values.length, base.length)
  // A generator of its own: the same numbers give the same interval.
  let seed = 0x2545f491
  const random = () => {
    seed ^= seed << 13
    seed ^= seed >>> 17
    seed ^= seed << 5
    return (seed >>> 0) / 0x1_0000_0000
  }
  const ratios = Array.from({ length: draws }, () => {
    const drawn = Array.from({ length: rounds }, () => Math.floor(random() * rounds))
    return median(drawn.map(i => values[i])) / median(drawn.map(i => base[i]))
  })
  return { ratio: median(values) / median(base), low: quantile(ratios, 0.025), high: quantile(ratios, 0.975) }
}

/** Columns as wide as what is in them; numbers to the right. */
export function table(head, rows) {
  const cells = [head, ...rows].map(row => row.map(cell => String(cell ?? '')))
  const width = head.map((_, i) => Math.max(...cells.map(row => row[i].length)))
  const line = row => row.map((cell, i) => (/^[-\d.]/.test(cell) ? cell.padStart(width[i]) : cell.padEnd(width[i]))).join('  ').trimEnd()
  return [line(cells[0]), width.map(w => '-'.repeat(w)).join('  '), ...cells.slice(1).map(line)].join('\n')
}

/** The same for a document. */
export function markdownTable(head, rows) {
  const line = cells => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i ? '---:' : '---'))), ...rows.map(line)].join('\n')
}
