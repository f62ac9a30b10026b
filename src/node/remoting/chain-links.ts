import type { ChainLink } from '../../actor/chain.js'
import type { ChainLink as WireLink } from '../../wire/index.js'

/** A chain of asks as it travels: oldest first. */
export function linksOf(chain: ChainLink): WireLink[] {
  const links: WireLink[] = []
  for (let at: ChainLink | undefined = chain; at !== undefined; at = at.parent) {
    links.unshift([at.path, at.incarnation, at.sequence])
  }
  return links
}

/** The inverse of {@link linksOf}. */
export function chainOf(links: readonly WireLink[] | undefined): ChainLink | undefined {
  let chain: ChainLink | undefined
  for (const [path, incarnation, sequence] of links ?? [])
    chain = { path, incarnation, sequence, parent: chain }
  return chain
}
