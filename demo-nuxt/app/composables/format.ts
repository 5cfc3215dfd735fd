const units = ['B', 'kB', 'MB', 'GB', 'TB']

/** 52428800 → "52.4 MB" */
export function formatBytes(bytes: number): string {
  let unit = 0
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000
    unit++
  }
  return `${unit === 0 || bytes >= 99.95 ? Math.round(bytes) : bytes.toFixed(1)}\u00A0${units[unit]}`
}

/** Seconds, as "8 s", "3:05" or "1:02:30". */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  if (s >= 3600) return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`
  return s >= 60 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${s}\u00A0s`
}

/** Seconds, as a clock: "0:08", "3:05" or "1:02:30". */
export function formatClock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds))
  return s >= 60 ? formatDuration(s) : `0:${String(s).padStart(2, '0')}`
}

export function formatTime(at: number): string {
  return new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
}
