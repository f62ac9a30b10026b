import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { token } from '../determinism/index.js'
import { describe, TroupeError } from '../errors.js'
import type { CheckpointFiles } from './files.js'
import { LocalFiles } from './local-files.js'

/** Turns the name of a place, which can be sent and stored, into its files. */
export interface CheckpointPlaces {
  /** @throws ERR_CHECKPOINT_PLACE when this kind of place is not known */
  open(place: string): CheckpointFiles
}

export const CheckpointPlaces = token<CheckpointPlaces>('CheckpointPlaces')

/** More than one letter, so that a drive is not taken for a scheme. */
const SCHEME = /^([a-z][a-z0-9+.-]+):/i

/** Folders of this machine, as paths or `file:` URLs. */
export class LocalPlaces implements CheckpointPlaces {
  readonly #base: string

  /** @param base where relative paths begin. @default where the process stands */
  constructor(base = '') {
    this.#base = base
  }

  open(place: string): CheckpointFiles {
    const scheme = SCHEME.exec(place)?.[1]?.toLowerCase()
    if (place !== '' && scheme === undefined) return new LocalFiles(resolve(this.#base, place))
    if (scheme === 'file') return new LocalFiles(localPath(place))
    throw placeError(place)
  }
}

function localPath(url: string): string {
  try {
    return fileURLToPath(url)
  } catch (error) {
    throw placeError(url, error)
  }
}

function placeError(place: string, cause?: unknown): TroupeError {
  return new TroupeError('ERR_CHECKPOINT_PLACE', `no checkpoints can be kept in ${describe(place)}`, {
    data: { place },
    cause,
  })
}
