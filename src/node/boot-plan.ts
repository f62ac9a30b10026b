/** What a thread or process must know to run a module, be it TypeScript. */
export interface BootData {
  readonly tsxApi: string | null
  readonly main: string
  readonly nodeOptions: string | null
}

export interface BootPlan {
  readonly boot: BootData
  /** Without NODE_OPTIONS, which Node would apply on top of `execArgv`; the boot code sets it again. */
  readonly env: NodeJS.ProcessEnv
  readonly execArgv: string[]
}

const TYPESCRIPT = /\.[cm]?tsx?$/

/**
 * How to start `main`. Loaders and preloads of this process are not inherited (they may be a test runner's); export
 * conditions are, so that no module is loaded once from source and once from build.
 */
export function bootPlan(spec: {
  readonly main: URL
  readonly modules?: readonly string[]
  readonly env?: Readonly<Record<string, string | undefined>>
}): BootPlan {
  const typescript = [import.meta.url, spec.main.href, ...(spec.modules ?? [])].some(isTypeScript)
  const { NODE_OPTIONS: nodeOptions, ...env } = spec.env ?? process.env
  return {
    boot: {
      tsxApi: typescript ? import.meta.resolve('tsx/esm/api') : null,
      main: spec.main.href,
      nodeOptions: nodeOptions ?? null,
    },
    env,
    execArgv: exportConditions([...process.execArgv, ...splitOptions(nodeOptions)]),
  }
}

/** The CommonJS that boots: `data` is an expression for the {@link BootData}. */
export function bootCode(data: string): string {
  return `
const boot = ${data}
if (boot.nodeOptions !== null) process.env.NODE_OPTIONS = boot.nodeOptions
;(async () => {
  if (boot.tsxApi !== null) (await import(boot.tsxApi)).register()
  await import(boot.main)
})()
`
}

/** The `--conditions` among Node's options, each as one `--conditions=NAME`; everything else is left out. */
export function exportConditions(options: readonly string[]): string[] {
  const conditions: string[] = []
  for (let i = 0; i < options.length; i++) {
    const match = /^(?:--conditions|-C)(?:=(.*))?$/.exec(options[i]!)
    if (match === null) continue
    const name = match[1] ?? options[++i]
    if (name !== undefined && !conditions.includes(`--conditions=${name}`))
      conditions.push(`--conditions=${name}`)
  }
  return conditions
}

function isTypeScript(url: string): boolean {
  return TYPESCRIPT.test(url.split(/[?#]/, 1)[0]!)
}

function splitOptions(nodeOptions: string | undefined): string[] {
  return nodeOptions?.split(/\s+/).filter(option => option !== '') ?? []
}
