import type { ChildProcess } from 'node:child_process'
import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { SystemClock } from '../../determinism/index.js'
import { spawnProcess } from '../process-boot.js'
import { openSlots } from './bulk-slots.js'
import type { Carrier, CarrierEvents, CarrierSpec, Ending, Isolating } from './carrier.js'
import { unpackError, type IsolationMessage } from './isolation-protocol.js'
import { LastWords } from './last-words.js'
import { besideThis } from './main-module.js'
import { MessageLink, type SlotFiles } from './message-link.js'
import { DESCRIPTORS } from './process-descriptors.js'
import { LAST_MS } from './process-watch.js'

const MAIN = besideThis(import.meta.url, 'process-main')

/** Milliseconds that the last words of an ended process may take: a child of its own may hold its output open. */
const LAST_WORDS_MS = 100

const NO_FILES = { outgoing: 'ignore', incoming: 'ignore' } as const

/** How V8 says that a heap is full, before it aborts. */
const HEAP_FULL = /^FATAL ERROR: .*JavaScript heap out of memory.*$/m

/**
 * Carries messages to a child process of the actor's own. What the child writes to standard output and error comes out
 * of this process. A child whose parent is gone ends, also if its event loop is blocked.
 */
class ProcessCarrier implements Carrier {
  readonly #events: CarrierEvents
  /** The machine's, whatever the runtime's is: so is the child. */
  readonly #clock = new SystemClock()
  readonly #child: ChildProcess
  #files: SlotFiles | undefined
  readonly #lastWords = new LastWords()
  #link: MessageLink | undefined
  #ended = false
  #fatal: { readonly error: unknown } | undefined

  constructor({ path, module, resourceLimits }: CarrierSpec, events: CarrierEvents) {
    this.#events = events
    this.#files = openFiles()
    const { outgoing, incoming } = this.#files ?? NO_FILES
    try {
      this.#child = spawnProcess({
        main: MAIN,
        modules: [module],
        name: path,
        descriptors: ['pipe', 'pipe', outgoing, incoming],
        ...(resourceLimits === undefined ? {} : { resourceLimits }),
      })
    } catch (error) {
      this.#closeFiles()
      throw error
    }
    this.#attach()
  }

  post(message: IsolationMessage): void {
    if (!this.#ended) this.#link?.post(message)
  }

  abort(): void {
    this.#socket(DESCRIPTORS.watch)?.write('a')
  }

  /** A child that is let go ends by itself, and runs Node's own hooks; one that does not is killed. */
  end(kill: boolean): void {
    this.#ended = true
    this.#socket(DESCRIPTORS.messages)?.destroy()
    this.#socket(DESCRIPTORS.watch)?.destroy()
    if (kill) this.#child.kill('SIGKILL')
    else {
      const timer = this.#clock.after(2 * LAST_MS, () => this.#child.kill('SIGKILL'))
      this.#child.once('exit', () => timer.cancel())
    }
  }

  #attach(): void {
    const child = this.#child
    child.stdout?.on('data', (data: Buffer) => process.stdout.write(data))
    child.stderr?.on('data', (data: Buffer) => {
      process.stderr.write(data)
      this.#lastWords.add(data)
    })
    // it could not be started
    child.on('error', cause => this.#end({ kind: 'failed', cause }))
    const socket = this.#socket(DESCRIPTORS.messages)
    // what the child did not read any more
    socket?.on('error', () => undefined)
    this.#socket(DESCRIPTORS.watch)?.on('error', () => undefined)
    if (socket !== undefined)
      this.#link = new MessageLink(socket, this.#files, message => this.#onMessage(message))
    const drained = socket === undefined ? Promise.resolve() : closed(socket)
    const heard = child.stderr === null ? Promise.resolve() : closed(child.stderr)
    child.on('exit', (exitCode, signal) => {
      void (async () => {
        // all that it had sent comes before its end
        await drained
        await this.#atMost(LAST_WORDS_MS, heard)
        this.#end(this.#endingOf(exitCode, signal))
      })()
    })
  }

  #onMessage(message: IsolationMessage): void {
    if (this.#ended) return
    if (message[0] === 'fatal') this.#fatal = { error: unpackError(message[2]) }
    else this.#events.message(message)
  }

  #endingOf(exitCode: number | null, signal: string | null): Ending {
    if (this.#fatal !== undefined) return { kind: 'failed', cause: this.#fatal.error }
    if (signal === null) return { kind: 'exited', exitCode: exitCode ?? 0 }
    const lastWords = this.#lastWords.text()
    const [heapFull] = HEAP_FULL.exec(lastWords) ?? []
    if (heapFull !== undefined) return { kind: 'memory', cause: new Error(heapFull) }
    return { kind: 'signal', signal, lastWords }
  }

  #end(ending: Ending): void {
    this.#closeFiles()
    // a child of its own may go on writing, but keeps nobody here
    for (const output of [this.#child.stdout, this.#child.stderr]) (output as Socket | null)?.unref()
    if (this.#ended) return
    this.#ended = true
    this.#events.ended(ending)
  }

  async #atMost(ms: number, work: Promise<void>): Promise<void> {
    await new Promise<void>(resolve => {
      const timer = this.#clock.after(ms, resolve)
      void work.then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  #socket(descriptor: number): Socket | undefined {
    // there are none if the machine had no descriptors left
    const stdio = this.#child.stdio as ChildProcess['stdio'] | undefined
    return (stdio?.[descriptor as 3] ?? undefined) as Socket | undefined
  }

  #closeFiles(): void {
    const files = this.#files
    this.#files = undefined
    if (files === undefined) return
    closeSync(files.outgoing)
    closeSync(files.incoming)
  }
}

export const PROCESS: Isolating = {
  place: 'process',
  sharesMemory: false,
  open: (spec, events) => new ProcessCarrier(spec, events),
}

function openFiles(): SlotFiles | undefined {
  const outgoing = openSlots()
  if (outgoing === undefined) return undefined
  const incoming = openSlots()
  if (incoming !== undefined) return { outgoing, incoming }
  closeSync(outgoing)
  return undefined
}

function closed(stream: Readable): Promise<void> {
  return new Promise(resolve => stream.once('close', resolve))
}
