/** The page around the frames: it opens them and plays what tests ask for by name. */
import type { Frame, LibraryName, Place } from './frame.js'

/** A signaling server, as a page sees it. */
export interface Places {
  name: string
  place: Place
  /** The same, a quarter of a second away. */
  far: Place
  /** One that does not say who is there. */
  discreet: Place
}

declare global {
  interface Window {
    server(name: string, action: 'start' | 'stop'): Promise<void>
  }
}

const frames = new Map<string, Promise<Frame>>()

/** The frame of a library; `copy` tells several of them apart. */
export function frame(name: LibraryName, copy = ''): Promise<Frame> {
  const key = `${name} ${copy}`
  let found = frames.get(key)
  if (!found) {
    frames.set(key, found = new Promise((resolve, reject) => {
      const element = document.createElement('iframe')
      element.allow = 'camera; microphone'
      element.src = `/frame?lib=${name}`
      element.onload = async () => {
        const inside = element.contentWindow as unknown as { frame?: Frame }
        // A module with top-level await is not waited for by 'load'.
        for (let tries = 0; !inside.frame; tries++) {
          if (tries > 1000) return reject(new Error(`no frame for ${name}`))
          await new Promise(next => setTimeout(next, 10))
        }
        resolve(inside.frame)
      }
      document.body.append(element)
    }))
  }
  return found
}

/** Until `what` is true: looked at after every event that `log` hears, and once in a while. */
export async function until(what: () => unknown, why: string, limit = 20_000): Promise<void> {
  const end = performance.now() + limit
  while (!what()) {
    if (performance.now() > end) throw new Error(`never: ${why}`)
    await new Promise(next => setTimeout(next, 5))
  }
}
