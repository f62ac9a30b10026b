import { LocalPlaces, type CheckpointFiles, type CheckpointPlaces } from '../checkpoint/index.js'
import { HdfsFiles } from './hdfs-files.js'
import { isHdfsLocation, parseHdfsLocation } from './location.js'
import type { HdfsOptions } from './options.js'
import { WebHdfs } from './web-hdfs.js'

/** Folders in HDFS by their URLs, and whatever another kind of places knows by all other names. */
export class HdfsPlaces implements CheckpointPlaces {
  readonly #others: CheckpointPlaces
  readonly #options: HdfsOptions
  /** One for each file system: connections, tokens, and who is active are shared. */
  readonly #clients = new Map<string, WebHdfs>()

  /**
   * @param others for names that are not of HDFS. @default folders of this machine
   * @param options threads do not get them: see `TROUPE_HDFS_OPTIONS` in {@link readHdfsSettings}
   */
  constructor(others: CheckpointPlaces = new LocalPlaces(), options: HdfsOptions = {}) {
    this.#others = others
    this.#options = options
  }

  open(place: string): CheckpointFiles {
    if (!isHdfsLocation(place)) return this.#others.open(place)
    const { scheme, host, port, path } = parseHdfsLocation(place)
    const key = `${scheme}://${host}:${port ?? ''}`
    let client = this.#clients.get(key)
    if (client === undefined) this.#clients.set(key, (client = WebHdfs.open(place, this.#options)))
    return new HdfsFiles(client, path)
  }
}
