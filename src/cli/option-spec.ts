import { describe } from '../errors.js'
import { usageError } from './usage-error.js'

/** One option of a command: how it is written, what it means, and how its text becomes a value. */
export interface OptionSpec<T> {
  /** What stands for the value in the help; absent for a flag, which takes none. */
  readonly placeholder?: string
  /** May be given several times: the value is a list. */
  readonly repeated?: boolean
  readonly help: string
  /** @throws ERR_USAGE naming the option, the text got and what is accepted */
  readonly read: (text: string, option: string) => T
}

export function flag(help: string): OptionSpec<boolean> {
  return { help, read: () => true }
}

export function integer(help: string, limits: { min: number; max: number }): OptionSpec<number> {
  const { min, max } = limits
  return {
    placeholder: 'N',
    help: `${help} (${min} to ${max})`,
    read(text, option) {
      const value = Number(text)
      if (/^-?\d+$/.test(text) && value >= min && value <= max) return value
      throw usageError(
        `${option} must be a whole number from ${min} to ${max}; got ${describe(text)}`,
        option,
        text,
      )
    },
  }
}

/** A whole number, or `inf` for any. */
export function bound(help: string): OptionSpec<number> {
  return {
    placeholder: 'N|inf',
    help,
    read(text, option) {
      if (text === 'inf') return Infinity
      const value = Number(text)
      if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
      throw usageError(`${option} must be a whole number from 0, or inf; got ${describe(text)}`, option, text)
    },
  }
}

/** Any text but an empty one. */
export function text(help: string, placeholder: string): OptionSpec<string> {
  return {
    placeholder,
    help,
    read(given, option) {
      if (given !== '') return given
      throw usageError(`${option} must not be empty`, option, given)
    },
  }
}

export function oneOf<T extends string>(help: string, choices: readonly T[]): OptionSpec<T> {
  return {
    placeholder: choices.join('|'),
    help,
    read(text, option) {
      const choice = choices.find(known => known === text)
      if (choice !== undefined) return choice
      throw usageError(`${option} must be one of ${choices.join(', ')}; got ${describe(text)}`, option, text)
    },
  }
}

/** Given several times; each text is read by `read`. */
export function list<T>(
  help: string,
  placeholder: string,
  read: (text: string) => T,
): OptionSpec<T> & { readonly repeated: true } {
  return { placeholder, repeated: true, help, read }
}
