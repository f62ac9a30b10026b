import type { Cell, CellState } from '../actor/cell.js'
import { errorInfo, type ErrorInfo } from '../errors.js'

/** An actor as `troupe.inspect()` shows it, with its children. */
export interface ActorView {
  readonly path: string
  /** The registered name of its class. */
  readonly type: string
  readonly incarnation: number
  readonly state: CellState
  readonly mailbox: { readonly messages: number; readonly bytes: number }
  readonly restarts: number
  readonly lastFailure: ErrorInfo | undefined
  readonly children: readonly ActorView[]
}

export function viewOf(cell: Cell): ActorView {
  return {
    path: cell.path,
    type: cell.type.name,
    incarnation: cell.incarnation?.number ?? 0,
    state: cell.state,
    mailbox: { messages: cell.mailboxMessages, bytes: cell.mailboxBytes },
    restarts: cell.restarts,
    lastFailure: cell.lastFailure === undefined ? undefined : errorInfo(cell.lastFailure),
    children: [...(cell.children?.values() ?? [])].map(viewOf),
  }
}
