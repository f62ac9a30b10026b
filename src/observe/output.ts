/** Where text for people or programs goes. */
export interface Output {
  /** A terminal understands control sequences; a file or a pipe gets plain text. */
  readonly isTerminal: boolean
  /** Width of a line in characters, now: a terminal may be resized. */
  readonly columns: number
  write(text: string): void
}

/** Width taken where nobody says one. */
export const DEFAULT_COLUMNS = 80

/** A stream of Node, such as `process.stdout`. */
export function streamOutput(stream: NodeJS.WriteStream): Output {
  return {
    get isTerminal() {
      return stream.isTTY
    },
    get columns() {
      return stream.columns || DEFAULT_COLUMNS
    },
    write: text => void stream.write(text),
  }
}
