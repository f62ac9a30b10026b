// The house rules that oxlint does not know: layers, doors, foreign prototypes, ambient time.
import { posix, relative, sep } from 'node:path'
import { GUESTS, LAYERS, PROTOTYPE_OWNER } from './layers.mjs'

const PROGRAM_EXTENSIONS = /\.(?:[cm]?[jt]s)$/

/** A file's place in the house: its top folder and, in src/, its layer. */
function placeOf(context) {
  const path = relative(context.cwd, context.filename).split(sep).join('/')
  return { path, top: path.split('/')[0], layer: layerOf(path) }
}

/** `src/wire/frame.ts` → `wire`; `src/errors.ts` → `errors`; outside src/ → undefined. */
function layerOf(path) {
  const parts = path.split('/')
  if (parts[0] !== 'src' || parts.length < 2) return undefined
  return parts[1].replace(PROGRAM_EXTENSIONS, '')
}

/** Is `name` in `list`, where an entry that ends in a slash or colon stands for all that begin with it? */
function listed(list, name) {
  return list.some(entry => (/[/:]$/.test(entry) ? name.startsWith(entry) : entry === name))
}

/** `@scope/name/sub/path` → `@scope/name`. */
function packageOf(specifier) {
  const parts = specifier.split('/')
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
}

/** Why this import is refused, or undefined. */
function refusal(place, specifier) {
  const local = specifier.startsWith('.')
  const target = local ? posix.join(posix.dirname(place.path), specifier) : undefined
  if (place.top === 'src') return refusalInSource(place.layer, specifier, target)
  return refusalInGuest(place.top, specifier, target)
}

function refusalInSource(layer, specifier, target) {
  const rules = LAYERS[layer]
  if (rules === undefined) return `src/${layer} has no row in .oxlint/layers.mjs: give it one`
  if (target !== undefined) {
    const other = layerOf(target)
    if (other === undefined) return `src/${layer} may not leave src/, got ${specifier}`
    if (other === layer || rules.layers.includes(other)) return undefined
    return `src/${layer} may not import src/${other}; it may import ${rules.layers.join(', ') || 'no other layer'}`
  }
  if (specifier.startsWith('node:')) {
    if (listed(rules.builtins, specifier)) return undefined
    return `src/${layer} may not import ${specifier}; of Node it may import ${rules.builtins.join(', ') || 'nothing'}`
  }
  if (listed(rules.packages, specifier) || listed(rules.packages, packageOf(specifier))) return undefined
  return `src/${layer} may not import ${specifier}; it may import the packages ${rules.packages.join(', ') || '(none)'}`
}

function refusalInGuest(top, specifier, target) {
  const rules = GUESTS[top]
  if (target !== undefined) {
    if (target.startsWith(`${top}/`)) return undefined
    return `${top}/ imports doors by package name (${rules.doors.join(', ')}), got ${specifier}`
  }
  if (specifier.startsWith('node:')) return undefined
  if (packageOf(specifier) === 'troupe') {
    if (rules.doors.includes(specifier)) return undefined
    return `${top}/ may not import ${specifier}; its doors are ${rules.doors.join(', ')}`
  }
  if (listed(rules.packages, specifier) || listed(rules.packages, packageOf(specifier))) return undefined
  return `${top}/ may not import ${specifier}; it may import the packages ${rules.packages.join(', ')}`
}

const layers = {
  create(context) {
    const place = placeOf(context)
    if (place.top !== 'src' && !Object.hasOwn(GUESTS, place.top)) return {}
    const check = literal => {
      if (literal?.type !== 'Literal' || typeof literal.value !== 'string') return
      const message = refusal(place, literal.value)
      if (message !== undefined) context.report({ node: literal, message })
    }
    return {
      ImportDeclaration: node => check(node.source),
      ExportNamedDeclaration: node => check(node.source),
      ExportAllDeclaration: node => check(node.source),
      ImportExpression: node => check(node.source),
      TSImportType: node => check(node.source),
      // a module that a worker thread loads: new URL('./boot.js', import.meta.url)
      NewExpression(node) {
        const [url, base] = node.arguments
        if (node.callee.name !== 'URL' || base?.type !== 'MemberExpression') return
        if (base.object.type !== 'MetaProperty' || !PROGRAM_EXTENSIONS.test(url?.value ?? '')) return
        check(url)
      },
    }
  },
}

const noWildcardExport = {
  create(context) {
    return {
      ExportAllDeclaration(node) {
        context.report({ node, message: 'a door names what it exports: list the names' })
      },
    }
  },
}

const noAmbientDate = {
  create(context) {
    const report = node =>
      context.report({ node, message: 'reads the machine’s clock: inject a Clock, pass its now()' })
    return {
      NewExpression(node) {
        if (node.callee.name === 'Date' && node.arguments.length === 0) report(node)
      },
      CallExpression(node) {
        if (node.callee.name === 'Date') report(node)
      },
    }
  },
}

/** Calls that write to their first argument. */
const WRITERS = {
  Object: ['assign', 'defineProperties', 'defineProperty', 'setPrototypeOf'],
  Reflect: ['defineProperty', 'deleteProperty', 'set', 'setPrototypeOf'],
}

/** In a file that names a TensorFlow package, a prototype that the file did not declare is taken for one of its. */
const noForeignPrototype = {
  create(context) {
    if (placeOf(context).layer === PROTOTYPE_OWNER) return {}
    const suspects = []
    let namesTensorFlow = false

    const definitionOf = identifier => {
      for (let scope = context.sourceCode.getScope(identifier); scope !== null; scope = scope.upper) {
        const variable = scope.set.get(identifier.name)
        if (variable !== undefined) return variable.defs[0]
      }
      return undefined
    }

    /** Is it a class or function made in this file? */
    const isOwn = expression => {
      const node = bare(expression)
      if (node.type !== 'Identifier') return node.type === 'ThisExpression'
      const definition = definitionOf(node)
      if (definition?.type === 'ClassName' || definition?.type === 'FunctionName') return true
      const init = definition?.node?.init
      return init?.type === 'ClassExpression' || init?.type === 'FunctionExpression'
    }

    const isForeignPrototype = expression => {
      const node = bare(expression)
      if (node.type === 'MemberExpression') return nameOf(node) === 'prototype' && !isOwn(node.object)
      if (node.type === 'CallExpression') return nameOf(bare(node.callee)) === 'getPrototypeOf'
      if (node.type !== 'Identifier') return false
      const init = definitionOf(node)?.node?.init ?? undefined
      return init !== undefined && bare(init).type !== 'Identifier' && isForeignPrototype(init)
    }

    const checkTarget = (target, node) => {
      const place = bare(target)
      if (place.type === 'MemberExpression' && isForeignPrototype(place.object)) suspects.push(node)
    }

    return {
      Literal(node) {
        if (typeof node.value === 'string' && node.value.startsWith('@tensorflow/')) namesTensorFlow = true
      },
      AssignmentExpression: node => checkTarget(node.left, node),
      UnaryExpression(node) {
        if (node.operator === 'delete') checkTarget(node.argument, node)
      },
      CallExpression(node) {
        const callee = bare(node.callee)
        if (callee.type !== 'MemberExpression' || node.arguments.length === 0) return
        const methods = Object.hasOwn(WRITERS, callee.object.name ?? '') ? WRITERS[callee.object.name] : []
        if (methods.includes(nameOf(callee)) && isForeignPrototype(node.arguments[0])) suspects.push(node)
      },
      'Program:exit'() {
        if (!namesTensorFlow) return
        for (const node of suspects) {
          const message = `changes a prototype of TensorFlow.js: only src/${PROTOTYPE_OWNER} may`
          context.report({ node, message })
        }
      },
    }
  },
}

/** The expression under TypeScript's casts. */
function bare(node) {
  let at = node
  while (/^TS(?:As|Satisfies|NonNull|Instantiation)Expression$|^TSTypeAssertion$/.test(at.type))
    at = at.expression
  return at
}

function nameOf(member) {
  if (member.type !== 'MemberExpression') return undefined
  return member.computed ? member.property.value : member.property.name
}

export default {
  meta: { name: 'house' },
  rules: {
    layers,
    'no-wildcard-export': noWildcardExport,
    'no-ambient-date': noAmbientDate,
    'no-foreign-prototype': noForeignPrototype,
  },
}
