import type { Cell } from '../actor/cell.js'
import type { Host } from '../actor/host.js'
import type { Runtime } from './runtime.js'
export class ThreadHost implements Host {
  constructor(_c: Cell, _r: Runtime) {
    throw new Error('soon')
  }
  start(): Promise<void> {
    throw new Error()
  }
  invoke(): Promise<unknown> {
    throw new Error()
  }
  terminated(): Promise<void> {
    throw new Error()
  }
  abort(): void {}
  stop(): Promise<void> {
    throw new Error()
  }
  dispose(): void {}
}
