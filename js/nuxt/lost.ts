/** The name of the first member of a configuration that JSON does not carry; null when there is none. */
export function whatIsLost(value: unknown, name: string): string | null {
  if (typeof value === 'function' || value instanceof RegExp) return name
  if (typeof value !== 'object' || value === null) return null
  for (const [key, member] of Object.entries(value)) {
    const lost = whatIsLost(member, `${name}.${key}`)
    if (lost) return lost
  }
  return null
}
