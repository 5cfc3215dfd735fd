// What came of a file, on disk: in the origin private file system, so that a reload does not lose it and memory never
// holds it. docs/architecture.md, "Kept files".
//
// What is written to a file there is lost until its stream is closed, and opening it again copies it. So a file is many
// parts, each written once, named after the offset of its first byte, and closed soon.

import { PeerError } from '../errors.js'
import { noop } from '../events.js'
import type { Transfer } from '../transfer.js'
import type { Store } from './incoming.js'

const folder = 'peerbridge'
/** A part is closed when it has so many bytes, or was begun so many ms ago. */
const partSize = 16_777_216
const partTime = 3000
/** Bytes of one write. */
const batchSize = 262_144
/** More bytes than this do not wait to be written: the sender is held back then. */
const backlog = 4_194_304
/** What nobody has touched for so many ms is deleted. */
const expiry = 86_400_000
/** How long a page waits for another one that receives the same file, ms. */
const lockTime = 2000

/** Resolves with what releases it, or null when somebody else has it. */
function lock(name: string, options: LockOptions): Promise<(() => void) | null> {
  return new Promise((resolve, reject) => {
    navigator.locks.request(`${folder}/${name}`, options, (lock) => {
      if (!lock) return resolve(null)
      return new Promise<void>(release => resolve(release))
    }).catch(reject)
  })
}

async function root(): Promise<FileSystemDirectoryHandle | null> {
  if (!('createWritable' in (globalThis.FileSystemFileHandle?.prototype ?? {}))) return null
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(folder, { create: true })
  }
  catch { // private windows have none
    return null
  }
}

/** Where the file of this peer and key is; a place of its own when it has no key. */
async function nameOf({ key, size }: Transfer, owner: string): Promise<string> {
  if (!key) return crypto.randomUUID()
  const text = new TextEncoder().encode(JSON.stringify([owner, key, size]))
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', text))
  return [...hash.subarray(0, 16)].map(byte => byte.toString(16).padStart(2, '0')).join('')
}

/** The parts from the beginning without a gap; everything else is deleted. */
async function partsOf(directory: FileSystemDirectoryHandle): Promise<File[]> {
  const found: { at: number, file: File }[] = []
  for await (const [name, handle] of directory.entries()) {
    if (/^\d+$/.test(name)) found.push({ at: Number(name), file: await (handle as FileSystemFileHandle).getFile() })
    // The mark of an earlier end, or what a browser keeps of a stream whose page is gone.
    else await directory.removeEntry(name).catch(noop)
  }
  found.sort((a, b) => a.at - b.at)
  const parts: File[] = []
  let end = 0
  for (const { at, file } of found) {
    if (at === end && file.size) {
      parts.push(file)
      end += file.size
    }
    else await directory.removeEntry(String(at))
  }
  return parts
}

/** Deletes what is done, and what nobody came back for. Whatever is in use is locked. */
async function clean(root: FileSystemDirectoryHandle): Promise<void> {
  for await (const [name, handle] of root.entries()) {
    const release = await lock(name, { ifAvailable: true })
    if (!release) continue
    try {
      let touched = 0
      let done = false
      for await (const [part, file] of (handle as FileSystemDirectoryHandle).entries()) {
        done ||= part === doneMark
        if (file.kind === 'file') touched = Math.max(touched, (await (file as FileSystemFileHandle).getFile()).lastModified)
      }
      if (done || touched < Date.now() - expiry) await root.removeEntry(name, { recursive: true })
    }
    finally {
      release()
    }
  }
}

/** An entry of this name says that the file was complete, and its page is gone when the lock is. */
const doneMark = 'done'

/** What this page is receiving, by the names of the directories. */
const running = new Map<string, Transfer>()

export class Kept implements Store {
  /** What was there before. */
  readonly have: Blob
  readonly #transfer: Transfer
  readonly #root: FileSystemDirectoryHandle
  readonly #name: string
  readonly #directory: FileSystemDirectoryHandle
  readonly #release: () => void
  readonly #failed: (cause: unknown) => void
  #end: number
  #batch: Uint8Array<ArrayBuffer>[] = []
  #batchLength = 0
  #waiting = 0
  #part: { stream: FileSystemWritableFileStream, length: number, since: number } | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #held = true

  /** Null where the browser has no such place. */
  static async open(transfer: Transfer, keep: boolean | string, failed: (cause: unknown) => void): Promise<Kept | null> {
    const place = await root()
    if (!place) return null
    let name = await nameOf(transfer, keep === true ? transfer._port.peer : String(keep))
    const other = running.get(name)
    if (other && other._port !== transfer._port) {
      // The sender's page is new, and the old connection does not know that it is dead.
      other._fail(new PeerError('connection-lost', `${other.name} was offered again over another connection, and goes on there.`))
    }
    let release = await lock(name, { signal: AbortSignal.timeout(lockTime) }).catch(() => null)
    if (!release) {
      // Another page receives the same, or this one still shows what it received.
      name = crypto.randomUUID()
      release = await lock(name, {})
    }
    const directory = await place.getDirectoryHandle(name, { create: true })
    const have = new Blob(await partsOf(directory))
    clean(place).catch(noop)
    return new Kept(transfer, place, name, directory, release!, have, failed)
  }

  /** Deletes what is kept of an offer that is not taken. */
  static async discard(transfer: Transfer): Promise<void> {
    const place = await root()
    if (!place || !transfer.key) return
    const name = await nameOf(transfer, transfer._port.peer)
    const release = await lock(name, { ifAvailable: true })
    if (!release) return
    await place.removeEntry(name, { recursive: true }).catch(noop)
    release()
  }

  private constructor(transfer: Transfer, root: FileSystemDirectoryHandle, name: string, directory: FileSystemDirectoryHandle,
    release: () => void, have: Blob, failed: (cause: unknown) => void) {
    this.#transfer = transfer
    this.#root = root
    this.#name = name
    this.#directory = directory
    this.#release = release
    this.#failed = failed
    this.have = have
    this.#end = have.size
    running.set(name, transfer)
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<unknown> | undefined {
    this.#batch.push(bytes)
    this.#batchLength += bytes.length
    this.#waiting += bytes.length
    if (this.#batchLength >= batchSize) this.#flush()
    return this.#waiting > backlog ? this.#turn : undefined
  }

  #flush(): void {
    const batch = this.#batch
    const length = this.#batchLength
    if (!length) return
    this.#batch = []
    this.#batchLength = 0
    this.#turn = this.#turn.then(() => this.#append(new Blob(batch), length))
    this.#turn.catch(this.#failed)
  }

  async #append(bytes: Blob, length: number): Promise<void> {
    const part = this.#part ??= {
      stream: await (await this.#directory.getFileHandle(String(this.#end), { create: true })).createWritable(),
      length: 0,
      since: performance.now(),
    }
    await part.stream.write(bytes)
    part.length += length
    this.#waiting -= length
    if (part.length >= partSize || performance.now() - part.since >= partTime) await this.#closePart()
  }

  async #closePart(): Promise<void> {
    const part = this.#part
    if (!part) return
    this.#part = null
    await part.stream.close()
    this.#end += part.length
  }

  async close(): Promise<File> {
    this.#flush()
    await this.#turn
    await this.#closePart()
    const file = new File(await partsOf(this.#directory), this.#transfer.name, { type: this.#transfer.type })
    await this.#directory.getFileHandle(doneMark, { create: true })
    running.delete(this.#name)
    if (file.size !== this.#end) throw new Error('parts of it were deleted meanwhile')
    // The lock stays: this page reads the file.
    return file
  }

  abort(error: PeerError): void {
    // What somebody decided against goes; what was interrupted stays, and the next offer of it goes on from there.
    if (error.type === 'cancelled' || error.type === 'rejected' || error.type === 'corrupted') return this.forget()
    this.#flush()
    void this.#turn.catch(noop).then(() => this.#closePart()).catch(noop).then(() => {
      this.#let(this.#release)
    })
  }

  forget(): void {
    void this.#turn.catch(noop).then(async () => {
      await this.#part?.stream.abort()
      // What was interrupted may be going on in another transfer.
      const release = this.#held ? this.#release : await lock(this.#name, { ifAvailable: true })
      if (!release) return
      await this.#root.removeEntry(this.#name, { recursive: true }).catch(noop)
      this.#let(release)
    }).catch(noop)
  }

  #let(release: () => void): void {
    if (running.get(this.#name) === this.#transfer) running.delete(this.#name)
    this.#held = false
    release()
  }
}
